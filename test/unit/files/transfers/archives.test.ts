import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { LIMITS } from "../../../../src/limits.ts";
import { base256, chunks, entry, gnuLong, header, pax, record, tar, ZEROS } from "../../../helpers/tar.ts";
import { outcome } from "../../../helpers/unpacked.ts";

const CHUNKS = [1, 511, 512, 513, 64 * 1024];

const long = (length: number) => "n".repeat(length);
const deep = (parts: number) => Array.from({ length: parts }, () => "d").join("/");
const file = entry("f", "text");
const folder = (name: string) => entry(name, "", { type: "5" });

const ACCEPTED: [what: string, bytes: Buffer, tree: Record<string, string | null>, skipped?: number][] = [
  ["nothing at all", ZEROS, {}],
  ["one block of zeros as its end", Buffer.concat([file, Buffer.alloc(512)]), { f: "text" }],
  ["zeros in the middle", tar(file, ZEROS, entry("g", "more")), { f: "text", g: "more" }],
  ["two archives, one behind the other", Buffer.concat([tar(file), tar(entry("g", "x"))]), { f: "text", g: "x" }],
  ["dots and slashes in names", tar(folder("./"), folder("./a//b/."), entry(".//a/./b///c", "x")), { "a/b": null, "a/b/c": "x" }],
  ["dots that are names", tar(entry("...", "x"), entry("..a", "y"), entry("a..", "z")), { "...": "x", "..a": "y", "a..": "z" }],
  ["a backslash, a colon and a line break", tar(entry("..\\x:\n", "x")), { "..\\x:\n": "x" }],
  ["a folder that comes twice", tar(folder("a/"), folder("a"), entry("a/b", "x")), { a: null, "a/b": "x" }],
  ["a folder behind what is in it", tar(entry("a/b", "x"), folder("a/")), { "a/b": "x" }],
  ["a folder of the oldest kind", tar(entry("a/", "", { type: "0" }), entry("b/", "", { type: "\0" })), { a: null, b: null }],
  ["a folder that claims a size", tar(header({ name: "a/", type: "5", size: 4_096 }), file), { a: null, f: "text" }],
  ["a file of the oldest kind", tar(entry("a", "x", { type: "\0" })), { a: "x" }],
  ["a file in one piece", tar(entry("a", "x", { type: "7" })), { a: "x" }],
  ["a name in two fields", tar(entry("b", "x", { prefix: "a" })), { "a/b": "x" }],
  [
    "links that lead anywhere",
    tar(entry("l", "", { type: "2", linkname: "/etc" }), entry("h", "", { type: "1", linkname: "../x" }), file),
    { f: "text" },
    2,
  ],
  [
    "a file beneath a link, which is none here",
    tar(entry("l", "", { type: "2", linkname: "/etc" }), entry("l/passwd", "x")),
    { "l/passwd": "x" },
    1,
  ],
  ["a hard link with a body", tar(entry("h", "body", { type: "1", linkname: "f" }), file), { f: "text" }, 1],
  ["devices and a FIFO", tar(...["3", "4", "6"].map((type) => entry("/dev/x", "", { type })), file), { f: "text" }, 3],
  [
    "types that nobody knows",
    tar(...["8", "D", "M", "S", "V", "A", "Z", "\xff"].map((type) => entry("x", "y".repeat(600), { type })), file),
    { f: "text" },
    8,
  ],
  [
    "a sparse file as pax tells it",
    tar(pax({ "GNU.sparse.major": "1", "GNU.sparse.name": "/etc/x" }), entry("s", "x"), file),
    { f: "text" },
    1,
  ],
  ["pax that gives another name", tar(pax({ path: "ü/long name" }), entry("short", "x")), { "ü/long name": "x" }],
  ["pax with an empty name", tar(pax({ path: "" }), entry("a", "x")), { a: "x" }],
  ["pax that names a link's target", tar(pax({ linkpath: "/etc/passwd" }), file), { f: "text" }],
  ["pax for all that follows", tar(pax({ comment: "x" }, "g"), file), { f: "text" }],
  ["pax for nothing", tar(file, pax({ path: "x" })), { f: "text" }],
  ["pax with keys of objects", tar(pax({ __proto__x: "1", constructor: "x", toString: "y" }), file), { f: "text" }],
  ["a long name of GNU's", tar(gnuLong("L", `d/${long(200)}`), entry("short", "x", { magic: "ustar  \0" })), { [`d/${long(200)}`]: "x" }],
  ["a long link of GNU's", tar(gnuLong("K", long(300)), file), { f: "text" }],
  ["a size in base 256", tar(entry("a", "x", { size: base256(1n) })), { a: "x" }],
  [
    "a size with spaces, or none",
    tar(entry("a", "x", { size: "         1 \0" }), entry("b", "", { size: "\0".repeat(12) }), entry("c", "", { size: " ".repeat(12) })),
    { a: "x", b: "", c: "" },
  ],
  ["the longest part", tar(gnuLong("L", long(LIMITS.fileNameBytes)), file), { [long(LIMITS.fileNameBytes)]: "text" }],
  ["the deepest name", tar(entry(deep(LIMITS.archiveDepth), "x")), { [deep(LIMITS.archiveDepth)]: "x" }],
  ["names that are not UTF-8", tar(entry(Buffer.from([0x61, 0xff]), "x")), { "a\ufffd": "x" }],
];

/**
 * The reader takes an entry behind an empty description for that description, and reads on within the body of the next: there stands another header, and
 * then the same once more, so that it ends where everybody does.
 */
const empty = header({ name: "x", type: "x" });
const smuggled = Buffer.concat([
  Buffer.alloc(88, "x"),
  entry("hidden", "x"),
  empty,
  header({ name: "y", size: 424 }),
  Buffer.alloc(424 + 512, "x"),
]);
const smuggling = (description: Buffer) => tar(description, entry("a", "y".repeat(600)), entry("b", smuggled));

const nul = (key: string) => record(key, Buffer.from("a\0b"));
const REFUSED: [what: string, bytes: Buffer, code?: string][] = [
  ["no byte", Buffer.alloc(0)],
  ["one byte", Buffer.from("x")],
  ["text", Buffer.from("text ".repeat(1_000))],
  ["a header's length of text", Buffer.alloc(512, "x")],
  ["a compressed one", Buffer.concat([Buffer.from([0x1f, 0x8b, 8, 0]), Buffer.alloc(1_020, 7)])],
  ["a damaged sum", tar(entry("a", "x", { checksum: "0000000\0" }))],
  ["a format that is none", tar(entry("a", "x", { magic: "\0\0\0\0\0\0\0\0" }))],
  ["no end", file],
  ["garbage behind its end", Buffer.concat([tar(file), Buffer.from("x")])],
  ["a block of garbage in the middle", tar(file, Buffer.alloc(512, 0xff), entry("g"))],
  ...["/f", "//f", "/", "/etc/passwd"].map((name): [string, Buffer] => [`the name ${name}`, tar(entry(name, "x"))]),
  ...["..", "../f", "a/..", "a/../f", "a/../../f", "./../f", "a/b/../c/.."].flatMap((name): [string, Buffer][] => [
    [`the name ${name}`, tar(entry(name, "x"))],
    [`the folder ${name}`, tar(folder(name))],
    [`the name ${name} of pax`, tar(pax({ path: name }), file)],
    [`the name ${name} of GNU's`, tar(gnuLong("L", name), file)],
    [`the name ${name} in front`, tar(entry("f", "x", { prefix: name }))],
  ]),
  ["an absolute name of pax", tar(pax({ path: "/etc/passwd" }), file)],
  ["an absolute name of GNU's", tar(gnuLong("L", "/etc/passwd"), file)],
  ["an absolute name in front", tar(entry("f", "x", { prefix: "/etc" }))],
  ["a NUL in pax", tar(pax(nul("path")), file)],
  ["a name that is none", tar(entry("", "x"))],
  ["a name of dots only", tar(entry("./.", "x"))],
  ["a file twice", tar(file, file)],
  ["a file twice, in other words", tar(file, entry("./f", "x"))],
  ["a file twice, as two names that are not UTF-8", tar(entry(Buffer.from([0xff]), "x"), entry(Buffer.from([0xfe]), "y"))],
  ["a file where a folder is", tar(folder("a"), entry("a", "x"))],
  ["a file where a folder is implied", tar(entry("a/b", "x"), entry("a", "x"))],
  ["a folder where a file is", tar(file, folder("f"))],
  ["a file used as a folder", tar(file, entry("f/x", "x"))],
  ["a file used as a folder, further down", tar(file, entry("f/x/y/z", "x"))],
  ["too long a part", tar(gnuLong("L", long(LIMITS.fileNameBytes + 1)), file)],
  ["too long a part, in bytes", tar(pax({ path: "é".repeat(128) }), file)],
  ["too long a name", tar(pax({ path: `${`${long(250)}/`.repeat(9)}x` }), file)],
  ["too long a name of slashes", tar(pax({ path: `a${"/".repeat(3_000)}b` }), file)],
  ["too deep a name", tar(entry(deep(LIMITS.archiveDepth + 1), "x"))],
  ["a size twice", tar(pax({ size: "1" }), file)],
  ["a size for all", tar(pax({ size: "1" }, "g"), file)],
  ["a negative size of pax", tar(pax({ size: "-1" }), file)],
  ["a size of pax behind another record", tar(pax({ path: "x", size: "99999999" }), file)],
  ["pax without its end", tar(pax(Buffer.from("99 path=x\n")), file)],
  ["pax without a length", tar(pax(Buffer.from("path=x\n")), file)],
  ["pax with a length of nothing", tar(pax(Buffer.from("0 path=x\n")), file)],
  ["pax with a length that is short", tar(pax(Buffer.from("5 path=x\n")), file)],
  ["pax with a length in other digits", tar(pax(Buffer.from("0x9 path=x\n")), file)],
  ["pax without a key", tar(pax(Buffer.from("5 =x\n")), file)],
  ["pax of zeros", tar(pax(Buffer.alloc(20)), file)],
  ["pax that is empty", smuggling(empty)],
  ["pax for all that is empty", smuggling(header({ name: "x", type: "g" }))],
  ["a long name of GNU's that is empty", smuggling(header({ name: "x", type: "L" }))],
  ["a long link of GNU's that is empty", smuggling(header({ name: "x", type: "K" }))],
  ["pax that claims a gigabyte", tar(header({ name: "x", type: "x", size: 2 ** 30 }))],
  ["pax for all that claims a gigabyte", tar(header({ name: "x", type: "g", size: 2 ** 30 }))],
  ["a long name of a gigabyte", tar(header({ name: "x", type: "L", size: 2 ** 30 }))],
  ["a long link of a gigabyte", tar(header({ name: "x", type: "K", size: 2 ** 30 }))],
  ["a negative size in base 256", tar(entry("a", "x", { size: base256(-1n, 0xff) }))],
  ["a size of the wrong first byte", tar(entry("a", "x", { size: base256(1n, 0x81) }))],
  ["a size of minus one", tar(entry("a", "x", { size: "-0000000001\0" }))],
  ["a size in decimal", tar(entry("a", "x", { size: "00000000009\0" }))],
  ["a size in words", tar(entry("a", "x", { size: "Infinity\0" }))],
  ["a size with a NUL inside", tar(entry("a", "x", { size: "0\x0000000001\0" }))],
  ["a size with a space inside", tar(entry("a", "x", { size: "1 0000000000" }))],
  ["a size of eight gigabytes", tar(entry("a", "x", { size: "77777777777\0" }))],
  ["an exbibyte", tar(entry("a", "x", { size: base256(2n ** 60n) })), "too_large"],
  ["more than a number holds", tar(entry("a", "x", { size: Buffer.concat([Buffer.from([0x80]), Buffer.alloc(11, 0xff)]) })), "too_large"],
  ["an exbibyte of pax", tar(header({ name: "x", type: "x", size: base256(2n ** 60n) })), "too_large"],
];

describe("a tar that anybody may have made", () => {
  it.each(ACCEPTED)("gives what is in it: %s", async (_, bytes, tree, skipped = 0) => {
    for (const size of CHUNKS) {
      const result = await outcome(chunks(bytes, size));
      expect(result, `in pieces of ${size}`).toEqual({ code: "ok", entries: Object.keys(tree).length, skipped, tree });
    }
  });

  it.each(REFUSED)("is refused: %s", async (_, bytes, code = "invalid_argument") => {
    for (const size of CHUNKS) expect((await outcome(chunks(bytes, size))).code, `in pieces of ${size}`).toBe(code);
  });

  it("is refused wherever it is cut, and is never taken for whole", async () => {
    const parts = [folder("a/"), pax({ path: "a/ü" }), entry("x", "y".repeat(700)), gnuLong("L", long(150)), file, entry("empty")];
    const bytes = tar(...parts);
    const lastHeaderAt = bytes.length - 1_024;
    for (let at = 0; at < bytes.length; at += at % 512 === 0 ? 1 : at % 512 === 1 ? 255 : at % 512 === 256 ? 255 : 1) {
      const isWhole = at - lastHeaderAt === 512;
      // A folder's header is followed by no zeros, and the end is one block at least.
      expect((await outcome(chunks(bytes.subarray(0, at), 513))).code, `cut at ${at}`).toBe(isWhole ? "ok" : "invalid_argument");
    }
  });

  it("never gives bad names, whichever bytes of it are turned", async () => {
    const bytes = tar(
      folder("a/"),
      pax({ path: "a/b" }),
      entry("x", "body"),
      gnuLong("L", "c/d"),
      file,
      entry("l", "", { type: "2", linkname: "/" }),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 }),
        fc.constantFrom(...CHUNKS),
        fc.boolean(),
        async (turns, size, isSummed) => {
          const turned = Buffer.from(bytes);
          for (const [at, to] of turns) turned[at] = to;
          if (isSummed) for (let at = 0; at < turned.length; at += 512) resum(turned.subarray(at, at + 512));
          await outcome(chunks(turned, size));
        },
      ),
      { numRuns: 400 },
    );
  });
});

/** Gives a header the sum that it has now. */
function resum(block: Buffer): void {
  if (block.toString("latin1", 257, 262) !== "ustar") return;
  block.write("        ", 148);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
}
