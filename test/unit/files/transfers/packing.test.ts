import { execFileSync } from "node:child_process";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { KernelboxError } from "../../../../src/errors.ts";
import { type Packing, packed, unpack } from "../../../../src/files/transfers/archives.ts";
import { chunks, entry, header, pax, tar } from "../../../helpers/tar.ts";
import { outcome, Recorded, stream } from "../../../helpers/unpacked.ts";

const full = () => new KernelboxError("limit_exceeded", "There is no room.", "Make some.");
const late = () => new Promise((resolve) => setTimeout(resolve, 20));
const fileOf = async (archive: Packing, name: string, body: string | Buffer, modifiedAt = new Date()) =>
  await archive.file(name, Buffer.byteLength(body), modifiedAt, stream(chunks(Buffer.from(body), 1_000)));
async function* endless(block: Buffer, seen = { chunks: 0 }): AsyncGenerator<Buffer> {
  const chunk = Buffer.concat(Array(Math.max(1, Math.floor(65_536 / block.length))).fill(block));
  for (; seen.chunks < 100_000; seen.chunks++) yield chunk;
}
async function all(bytes: AsyncIterable<Buffer>): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of bytes) pieces.push(piece);
  return Buffer.concat(pieces);
}
/** Runs it, and fails where a rejection or an error was left for nobody. */
async function cleanly<T>(run: () => Promise<T>): Promise<T> {
  const seen: unknown[] = [];
  const note = (reason: unknown) => seen.push(reason);
  process.on("unhandledRejection", note);
  process.on("uncaughtException", note);
  try {
    const result = await run();
    await late();
    expect(seen).toEqual([]);
    return result;
  } finally {
    process.off("unhandledRejection", note);
    process.off("uncaughtException", note);
  }
}

describe("an archive that does not end by itself", () => {
  it.each([
    ["files", (at: number) => entry(`f${at}`), 10_000],
    ["folders", (at: number) => entry(`d${at}`, "", { type: "5" }), 10_000],
    ["folders that are implied", (at: number) => entry(`${at}/${"d/".repeat(18)}f`), 500],
  ])("is cut after so many %s", async (_, make, most) => {
    const many = async function* () {
      for (let at = 0; at < 1_000_000; at++) yield make(at);
    };
    const result = await outcome(many());
    expect(result.code).toBe("too_large");
    expect(result.entries).toBeLessThanOrEqual(most);
  });

  it.each([
    ["FIFOs", entry("x", "", { type: "6" })],
    ["the same folder", entry("x", "", { type: "5" })],
    ["what is said of all", pax({ comment: "x" }, "g")],
    ["what is said of the next", pax({ path: "x" })],
  ])("is cut after so many headers of %s", async (_, block) => {
    const seen = { chunks: 0 };
    expect((await outcome(endless(block, seen))).code).toBe("too_large");
    expect(seen.chunks * 65_536).toBeLessThan(60_000 * 1_024);
  });

  it("is not read on where it was refused", async () => {
    const seen = { chunks: 0 };
    expect((await outcome(endless(header({ name: "x", type: "x", size: 2 ** 30 }), seen))).code).toBe("invalid_argument");
    expect(seen.chunks).toBeLessThan(3);
  });

  it("may be zeros, which cost nothing", async () => {
    const zeros = async function* () {
      for (let at = 0; at < 1_000; at++) yield Buffer.alloc(65_536);
    };
    expect((await outcome(zeros())).code).toBe("ok");
  });
});

describe("unpacking", () => {
  it("reads no faster than the folder takes", async () => {
    const size = 32 * 1024 * 1024;
    let given = 0;
    const bytes = async function* () {
      yield header({ name: "f", size });
      for (; given < size; given += 65_536) yield Buffer.alloc(65_536);
      yield Buffer.alloc(1_024);
    };
    let taken = 0;
    let ahead = 0;
    await unpack(bytes(), {
      makeFolder: async () => {},
      writeFile: async (_, body) => {
        for await (const piece of body) {
          taken += piece.length;
          if (taken % (1024 * 1024) === 0) await new Promise((resolve) => setImmediate(resolve));
          ahead = Math.max(ahead, given - taken);
        }
      },
    });
    expect(taken).toBe(size);
    expect(ahead).toBeLessThan(512 * 1024);
  });

  it.each(["makeFolder", "writeFile"] as const)(
    "fails as the folder's %s does, also where the archive is made meanwhile",
    async (method) => {
      const tars = {
        ready: () => stream(chunks(tar(entry("d/", "", { type: "5" }), entry("d/f", "x".repeat(300_000)), entry("g", "y")), 4_096)),
        made: () =>
          packed(async (archive) => {
            archive.folder("d");
            for (let at = 0; at < 20; at++) await fileOf(archive, `d/${at}`, "x".repeat(100_000));
          }),
      };
      for (const make of Object.values(tars)) {
        const folder = new Recorded();
        folder[method] = async () => {
          throw full();
        };
        const result = await cleanly(async () => await outcome(make(), folder));
        expect(result.code).toBe("limit_exceeded");
      }
    },
  );

  it.each([
    ["nothing of it", async () => {}],
    [
      "its first piece",
      async (_: string, body: AsyncIterable<Uint8Array>) => {
        for await (const _ of body) break;
      },
    ],
  ])("does not take an archive for whole of which the folder took %s", async (_, writeFile) => {
    for (const size of [512, 65_536]) {
      const folder = new Recorded();
      folder.writeFile = writeFile;
      const bytes = tar(entry("f", "x".repeat(300_000)), entry("g", "y"));
      expect((await cleanly(async () => await outcome(chunks(bytes, size), folder))).code).toBe("internal");
    }
  });

  it("fails as the bytes do", async () => {
    const torn = async function* () {
      yield entry("f", "text");
      yield header({ name: "g", size: 10_000 });
      throw full();
    };
    expect((await cleanly(async () => await outcome(torn()))).code).toBe("limit_exceeded");
  });
});

const part = fc
  .string({ unit: "grapheme", minLength: 1, maxLength: 60 })
  .map((text) => text.replace(/[/\0]/g, "_"))
  .filter((text) => text !== "." && text !== ".." && text.isWellFormed());
const tree = fc.dictionary(
  fc.array(part, { minLength: 1, maxLength: 6 }).map((parts) => parts.join("/")),
  fc.option(fc.uint8Array({ maxLength: 3_000 })),
  { maxKeys: 12, noNullPrototype: false },
);

describe("packing", () => {
  it("and unpacking gives back any names and contents", async () => {
    await fc.assert(
      fc.asyncProperty(tree, fc.constantFrom(1, 511, 512, 513, 65_536), async (given, size) => {
        const names = Object.keys(given);
        const isAbove = (name: string) => names.some((other) => other.startsWith(`${name}/`));
        const kept = names.filter((name) => name !== "__proto__").map((name) => [name, isAbove(name) ? null : given[name]] as const);
        const bytes = await all(
          packed(async (archive) => {
            for (const [name, content] of kept.sort(([a], [b]) => (a < b ? -1 : 1))) {
              if (content == null) archive.folder(name);
              else await fileOf(archive, name, Buffer.from(content));
            }
          }),
        );
        const result = await outcome(chunks(bytes, size));
        const wanted = kept.map(([name, content]) => [name, content == null ? null : Buffer.from(content).toString("latin1")]);
        expect(result.code).toBe("ok");
        expect(result.tree).toEqual(Object.fromEntries(wanted));
      }),
      { numRuns: 200 },
    );
  });

  it("fails as what fills it does, and only with that", async () => {
    const failing = packed(async (archive) => {
      archive.folder("d");
      await fileOf(archive, "f", "x".repeat(200_000));
      throw full();
    });
    await expect(cleanly(async () => await all(failing))).rejects.toMatchObject({ code: "limit_exceeded" });
    const atOnce = packed(async (archive) => {
      archive.folder("d");
      throw full();
    });
    await expect(cleanly(async () => await all(atOnce))).rejects.toMatchObject({ code: "limit_exceeded" });
  });

  it.each([
    ["shorter", 10],
    ["shorter by much", 200_000],
    ["longer", 3],
    ["longer than nothing", 0],
  ])("is busy where a file is %s than was said", async (_, said) => {
    const odd = packed(async (archive) => await archive.file("f", said, new Date(), stream([Buffer.from("12345")])));
    await expect(cleanly(async () => await all(odd))).rejects.toMatchObject({ code: "busy" });
  });

  it("ends what fills it where one leaves, with what that has open, and says nothing of it", async () => {
    let closed = 0;
    let ended = "";
    const body = async function* () {
      try {
        while (true) yield Buffer.alloc(65_536);
      } finally {
        closed++;
      }
    };
    const leave = async () => {
      const archive = packed(async (filled) => {
        try {
          await filled.file("f", 2 ** 40, new Date(), body());
        } catch (error) {
          ended = (error as KernelboxError).code;
          throw error;
        }
      });
      for await (const _ of archive) break;
    };
    await cleanly(leave);
    expect({ closed, ended }).toEqual({ closed: 1, ended: "cancelled" });
    // The same of one that goes on with folders.
    const folders = async () => {
      const archive = packed(async (filled) => {
        await fileOf(filled, "f", "x".repeat(200_000)).catch(() => {});
        try {
          filled.folder("d");
        } catch (error) {
          ended = `${(error as KernelboxError).code} again`;
        }
      });
      for await (const _ of archive) break;
    };
    await cleanly(folders);
    expect(ended).toBe("cancelled again");
  });

  it("makes what others read, also of odd times and long names", async () => {
    const names = ["old", "older", "late", "n".repeat(99), "n".repeat(101), `${"d".repeat(120)}/${"n".repeat(120)}`, "ü", "a\nb"];
    const times = [new Date("1969-12-31"), new Date("0001-01-01"), new Date("2100-01-01")];
    const bytes = await all(
      packed(async (archive) => {
        for (const [at, name] of names.entries()) await fileOf(archive, name, "x", times[at % times.length]);
        archive.folder("e".repeat(200));
      }),
    );
    const listed = execFileSync("tar", ["-tf", "-", "--quoting-style=literal", "--full-time"], { input: bytes, encoding: "utf8" });
    expect(listed).toBe(`${[...names, `${"e".repeat(200)}/`].join("\n")}\n`);
    const verbose = execFileSync("tar", ["-tvf", "-", "--utc"], { input: bytes, encoding: "utf8" });
    expect(verbose.match(/(19|20)\d\d-\d\d-\d\d/g)?.slice(0, 3)).toEqual(["1970-01-01", "1970-01-01", "2038-01-19"]);
  });
});
