import fc from "fast-check";
import { pack } from "tar-stream";
import { describe, expect, it } from "vitest";
import { KernelboxError } from "../../../../src/errors.ts";
import { packed, type UnpackFolder, unpack } from "../../../../src/files/transfers/archives.ts";
import { LIMITS } from "../../../../src/limits.ts";

const BLOCK = 512;

/** One header by hand, with whatever is to be in it, and a right checksum. */
function header(fields: { name?: string; size?: string | Buffer; type?: string; linkname?: string; prefix?: string }): Buffer {
  const block = Buffer.alloc(BLOCK);
  block.write(fields.name ?? "file", 0, 100, "latin1");
  block.write("0000644\0", 100);
  block.write("0001750\0", 108);
  block.write("0001750\0", 116);
  if (typeof fields.size === "object") fields.size.copy(block, 124);
  else block.write(fields.size ?? "00000000000\0", 124, 12, "latin1");
  block.write("00000000000\0", 136);
  block.write("        ", 148);
  block.write(fields.type ?? "0", 156, 1, "latin1");
  block.write(fields.linkname ?? "", 157, 100, "latin1");
  block.write("ustar\x0000", 257, "latin1");
  block.write(fields.prefix ?? "", 345, 155, "latin1");
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return block;
}

const octal = (size: number) => `${size.toString(8).padStart(11, "0")}\0`;
const body = (content: string | Buffer) => {
  const bytes = Buffer.from(content as string);
  return Buffer.concat([bytes, Buffer.alloc((BLOCK - (bytes.length % BLOCK)) % BLOCK)]);
};
const file = (name: string, content = "x") => Buffer.concat([header({ name, size: octal(Buffer.byteLength(content)) }), body(content)]);
const described = (type: string, content: string | Buffer) =>
  Buffer.concat([header({ name: "described", type, size: octal(Buffer.byteLength(content as string)) }), body(content)]);
const record = (key: string, value: string) => {
  const rest = ` ${key}=${value}\n`;
  let length = Buffer.byteLength(rest) + 1;
  while (String(length).length + Buffer.byteLength(rest) !== length) length++;
  return `${length}${rest}`;
};
const END = Buffer.alloc(2 * BLOCK);

/** What came out, as the folder saw it. */
async function unpacked(
  tar: Buffer,
  cut = 64 * 1024,
): Promise<{ files: Map<string, string>; folders: string[]; skipped: number; error?: KernelboxError }> {
  const files = new Map<string, string>();
  const folders: string[] = [];
  const folder: UnpackFolder = {
    makeFolder: async (path) => {
      expect(files.has(path)).toBe(false);
      folders.push(path);
    },
    writeFile: async (path, content) => {
      expect(files.has(path), `${path} twice`).toBe(false);
      const parts: Uint8Array[] = [];
      for await (const part of content) parts.push(part);
      files.set(path, Buffer.concat(parts).toString());
    },
  };
  const bytes = (async function* () {
    for (let at = 0; at < tar.length; at += cut) yield tar.subarray(at, at + cut);
  })();
  let skipped = 0;
  let error: KernelboxError | undefined;
  try {
    ({ skipped } = await unpack(bytes, folder));
  } catch (thrown) {
    error = KernelboxError.from(thrown);
  }
  for (const path of [...files.keys(), ...folders]) {
    expect(path).not.toMatch(/^\/|\0|(^|\/)\.\.?(\/|$)|\/\/|^$/);
    expect(Buffer.byteLength(path)).toBeLessThanOrEqual(LIMITS.archiveNameBytes);
  }
  return { files, folders, skipped, ...(error === undefined ? {} : { error }) };
}

const tar = (...parts: Buffer[]) => Buffer.concat([...parts, END]);

const REFUSED: [why: string, archive: Buffer][] = [
  ["an absolute name", tar(file("/etc/passwd"))],
  ["an absolute name behind two slashes", tar(file("//etc/passwd"))],
  ["a name that leads out", tar(file("../x"))],
  ["a name that leads out behind a folder", tar(file("a/../../x"))],
  ["a name that leads out and back", tar(file("a/../a/x"))],
  ["a folder that leads out", tar(header({ name: "../d/", type: "5" }))],
  ["dots alone", tar(file(".."))],
  ["a prefix that leads out", tar(Buffer.concat([header({ name: "x", prefix: "../..", size: octal(1) }), body("x")]))],
  ["an absolute prefix", tar(Buffer.concat([header({ name: "x", prefix: "/etc", size: octal(1) }), body("x")]))],
  ["a pax path that leads out", tar(described("x", record("path", "../../x")), file("x"))],
  ["an absolute pax path", tar(described("x", record("path", "/etc/x")), file("x"))],
  ["a global pax path", tar(described("g", record("path", "../x")), described("x", record("comment", "y")), file("x"))],
  ["a GNU long name that leads out", tar(described("L", `../${"a/".repeat(60)}x\0`), file("x"))],
  ["a pax size", tar(described("x", record("size", "1024")), file("x"))],
  ["pax records that cannot be read", tar(described("x", "9999 path=x\n"), file("x"))],
  ["pax records without a length", tar(described("x", "path=x\n"), file("x"))],
  ["a long pax header", tar(described("x", record("comment", "x".repeat(LIMITS.archiveHeaderBytes))), file("x"))],
  ["a pax header that claims a gigabyte", tar(header({ type: "x", size: octal(2 ** 30) }))],
  ["a long name that claims a gigabyte", tar(header({ type: "L", size: octal(2 ** 30) }))],
  ["a long link name that claims a gigabyte", tar(header({ type: "K", size: octal(2 ** 30) }))],
  ["a size in other letters", tar(Buffer.concat([header({ size: "0x000000010\0" }), body("x")]))],
  ["a negative size", tar(Buffer.concat([header({ size: "-0000000001\0" }), body("x")]))],
  ["a negative size in base 256", tar(Buffer.concat([header({ size: Buffer.alloc(12, 0xff) }), body("x")]))],
  ["a size past all bounds in base 256", tar(header({ size: Buffer.from("800000ffffffffffffffffff", "hex") }))],
  ["a size of 8 GiB without content", tar(header({ size: "77777777777\0" }))],
  ["the same name twice", tar(file("a"), file("a"))],
  ["the same name twice, written otherwise", tar(file("a/b"), file("./a//b"))],
  ["a file where a folder is", tar(file("a/b"), file("a"))],
  ["a folder where a file is", tar(file("a"), file("a/b"))],
  ["a file as a folder of itself", tar(file("a"), header({ name: "a/", type: "5" }), file("a/b"))],
  ["a very deep name", tar(described("x", record("path", `${"d/".repeat(LIMITS.archiveDepth + 1)}x`)), file("x"))],
  ["a very long name", tar(described("x", record("path", "x".repeat(LIMITS.archiveNameBytes + 1))), file("x"))],
  ["a part that is too long", tar(described("x", record("path", "x".repeat(256))), file("x"))],
  ["nothing at all", Buffer.alloc(0)],
  ["no archive", Buffer.from("this is no tar\n".repeat(100))],
  ["a compressed one", Buffer.from("1f8b0800000000000003".padEnd(2_048, "0"), "hex")],
  ["one without an end", file("a")],
];

describe("a tar that anybody may have made", () => {
  it.each(REFUSED)("is refused for %s, whatever the pieces", async (_, archive) => {
    for (const cut of [1, 511, 512, 513, 64 * 1024]) {
      const { error, files } = await unpacked(archive, cut);
      expect(error, `pieces of ${cut}`).toBeInstanceOf(KernelboxError);
      expect(["invalid_argument", "too_large"]).toContain(error?.code);
      expect(error?.hint).not.toBe("");
      for (const content of files.values()) expect(content).toBe("x");
    }
  });

  it("has its links, devices and special files left out and counted", async () => {
    const types = ["1", "2", "3", "4", "6", "S"];
    const archive = tar(...types.map((type) => header({ name: `odd-${type}`, type, linkname: "/etc/passwd" })), file("kept"));
    const { files, skipped, error } = await unpacked(archive);
    expect(error).toBeUndefined();
    expect([...files.keys()]).toEqual(["kept"]);
    expect(skipped).toBe(types.length);
  });

  it("may name its folder, parts of it twice, and nothing else", async () => {
    const { files, folders, error } = await unpacked(
      tar(
        header({ name: "./", type: "5" }),
        header({ name: "a/", type: "5" }),
        header({ name: "a/", type: "5" }),
        file("./a/b"),
        file("a//c"),
      ),
    );
    expect(error).toBeUndefined();
    expect(folders).toEqual(["a"]);
    expect([...files.keys()]).toEqual(["a/b", "a/c"]);
  });

  it("has so many entries at most, also where none of them is taken", async () => {
    const links = Buffer.concat(
      Array.from({ length: LIMITS.archiveEntries + 1 }, (_, n) => header({ name: `l${n}`, type: "2", linkname: "x" })),
    );
    expect((await unpacked(tar(links))).error).toMatchObject({ code: "too_large" });
    const described = Buffer.concat(Array.from({ length: 6 * LIMITS.archiveEntries }, () => header({ type: "g" })));
    expect((await unpacked(tar(described))).error).toMatchObject({ code: "too_large" });
  });

  it("is refused wherever it is cut off", async () => {
    const whole = tar(file("a", "x".repeat(700)), header({ name: "d/", type: "5" }), file("d/b"));
    for (let at = 0; at < whole.length - 2 * BLOCK; at += 100)
      expect((await unpacked(whole.subarray(0, at))).error, String(at)).toBeDefined();
    expect((await unpacked(whole)).error).toBeUndefined();
  });

  it("always ends, whatever bytes it is made of", async () => {
    const piece = fc.oneof(
      fc.uint8Array({ maxLength: 600 }).map((bytes) => Buffer.from(bytes)),
      fc.constantFrom(
        Buffer.alloc(BLOCK),
        file("a"),
        file("b/c"),
        header({ type: "x", size: octal(20) }),
        header({ type: "L", size: octal(600) }),
      ),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(piece, { maxLength: 6 }), fc.integer({ min: 1, max: 700 }), async (parts, cut) => {
        await unpacked(Buffer.concat(parts), cut);
      }),
      { numRuns: 300 },
    );
  });

  it("by the library itself is taken", async () => {
    const archive = pack();
    archive.entry({ name: "ü/ñ.txt" }, "ü");
    archive.entry({ name: `${"long/".repeat(15)}${"n".repeat(200)}` }, "long");
    archive.finalize();
    const parts: Buffer[] = [];
    for await (const part of archive) parts.push(part as Buffer);
    const { files, error } = await unpacked(Buffer.concat(parts), 1_000);
    expect(error).toBeUndefined();
    expect([...files.values()]).toEqual(["ü", "long"]);
  });
});

describe("what is packed", () => {
  const name = fc.string({ unit: fc.constantFrom("a", "b", "ü", "図", " ", "-"), minLength: 1, maxLength: 130 });

  it("is unpacked as it was", async () => {
    await fc.assert(
      fc.asyncProperty(fc.dictionary(name, fc.uint8Array({ maxLength: 2_000 })), async (tree) => {
        const archive = packed(async (packing) => {
          packing.folder("d");
          for (const [path, content] of Object.entries(tree)) {
            const half = Math.floor(content.length / 2);
            await packing.file(`d/${path}`, content.length, new Date(0), [content.subarray(0, half), content.subarray(half)] as never);
          }
        });
        const parts: Buffer[] = [];
        for await (const part of archive) parts.push(part);
        const { files, folders, error } = await unpacked(Buffer.concat(parts), 777);
        expect(error).toBeUndefined();
        expect(folders).toEqual(["d"]);
        const expected = Object.entries(tree).map(([path, content]) => [`d/${path}`, Buffer.from(content).toString()]);
        expect(Object.fromEntries(files)).toEqual(Object.fromEntries(expected));
      }),
      { numRuns: 100 },
    );
  });

  it("ends with the error of what it is made of, and lets go when nobody takes it", async () => {
    const failing = packed(async (packing) => {
      packing.folder("a");
      throw new KernelboxError("busy", "changed", "again");
    });
    await expect(
      (async () => {
        for await (const _ of failing);
      })(),
    ).rejects.toMatchObject({ code: "busy" });
    let isClosed = false;
    const endless = (async function* () {
      try {
        while (true) yield Buffer.alloc(100_000);
      } finally {
        isClosed = true;
      }
    })();
    const left = packed(async (packing) => await packing.file("a", 2 ** 33, new Date(0), endless));
    await left.next();
    await left.return(undefined as never).catch(() => {});
    expect(isClosed).toBe(true);
  });
});
