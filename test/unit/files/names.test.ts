import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { KernelboxError } from "../../../src/errors.ts";
import { legible, quoted } from "../../../src/events/quoted.ts";
import { characterBoundary } from "../../../src/events/utf8.ts";
import { decodeText, readBytes, readCharacters, readLines } from "../../../src/files/read-window.ts";
import { executionUri, fileTarget, fileUri, outputUri, parseUri, streamUri } from "../../../src/files/uris.ts";
import { LIMITS } from "../../../src/limits.ts";
import { absolutePath } from "../../../src/sandboxes/paths.ts";
import { sourceInPieces } from "../../helpers/source.ts";

describe("paths", () => {
  it.each([
    ["x.txt", "/home/user/x.txt"],
    ["./a/../b", "/home/user/b"],
    ["/mnt/data", "/home/user"],
    ["/mnt/data/a", "/home/user/a"],
    ["/tmp/x", "/tmp/x"],
    ["/mnt/shared/x", "/mnt/shared/x"],
    ["//home//user//x", "/home/user/x"],
    ["", "/home/user"],
  ])("%s is %s", (path, absolute) => expect(absolutePath(path)).toBe(absolute));

  it.each(["/", "/etc", "..", "../user2", "/home/user/..", "/home/username", "/tmpx", "/mnt/datax", "/mnt", "/proc/self/environ"])(
    "%s lies outside",
    (path) => {
      expect(() => absolutePath(path)).toThrow(/outside/);
    },
  );
});

describe("a path", () => {
  const table: [name: string, expected: string][] = JSON.parse(
    readFileSync(join(import.meta.dirname, "../../../sandbox/tests/paths.json"), "utf8"),
  );
  const meaning = (name: string) => {
    try {
      return absolutePath(name);
    } catch (thrown) {
      return KernelboxError.from(thrown).code;
    }
  };

  it.each(table)("%j means here what it means to the supervisor, whose test reads the same table", (name, expected) => {
    expect(meaning(name)).toBe(expected);
  });

  it("is beneath a root or refused, whatever it is, and means the same once it is absolute", () => {
    const part = fc.oneof(
      fc.constantFrom("", ".", "..", "...", "home", "user", "tmp", "mnt", "data", "shared", "etc", "\0"),
      fc.string({ unit: "binary", maxLength: 6 }),
    );
    fc.assert(
      fc.property(fc.array(part, { maxLength: 8 }), fc.boolean(), (parts, isAbsolute) => {
        const meant = meaning((isAbsolute ? "/" : "") + parts.join("/"));
        if (meant === "invalid_argument" || meant === "permission_denied") return;
        expect(meant).toMatch(/^\/(home\/user|tmp|mnt\/shared)(\/|$)/);
        expect(meant.split("/").slice(1)).not.toContain("..");
        expect(meaning(meant)).toBe(meant);
      }),
      { numRuns: 3_000 },
    );
  });
});

describe("resource names", () => {
  it("read back what they were made from, whatever the path", () => {
    for (const path of ["/home/user/a b.txt", "/home/user/100%/ü/图.csv", "/tmp/a?b#c", "/home/user/a&b=c+d;e"]) {
      expect(parseUri(new URL(fileUri("sbx_1", path)).href)).toEqual({ kind: "file", sandboxId: "sbx_1", path });
    }
    expect(parseUri(executionUri("exe_1"))).toEqual({ kind: "execution", executionId: "exe_1" });
    expect(parseUri(streamUri("exe_1", "stderr"))).toEqual({ kind: "stream", executionId: "exe_1", stream: "stderr" });
    expect(parseUri(outputUri("exe_1", 12))).toEqual({ kind: "output", executionId: "exe_1", n: 12 });
    for (const type of ["text/html", "application/vnd.plotly.v1+json", encodeURIComponent("text/x; a=b")]) {
      const uri = new URL(`${outputUri("exe_1", 2)}/${type}`).href;
      expect(parseUri(uri)).toEqual({ kind: "output", executionId: "exe_1", n: 2, type: decodeURIComponent(type) });
    }
  });

  it.each([
    "kernelbox://",
    "kernelbox://executions/",
    "kernelbox://executions/a/outputs/0",
    "kernelbox://executions/a/outputs/1/",
    "kernelbox://executions/a/outputs/1/html",
    "kernelbox://executions/a/outputs/1/text/html/more",
    "kernelbox://executions/a/outputs/1/text/%E0%A4%A",
    "kernelbox://executions/a/stdin",
    "kernelbox://x/y",
    "file:///etc/passwd",
    "kernelbox://sandboxes/s/files/%E0%A4%A",
  ])("%s is none of ours", (uri) => expect(parseUri(uri)).toBeUndefined());
});

describe("a path that is given as a URI", () => {
  it("is the file of that URI, and its sandbox", () => {
    const path = fileUri("sbx_1", "/home/user/a b.txt");
    expect(fileTarget({ path })).toEqual({ sandboxId: "sbx_1", path: "/home/user/a b.txt" });
    expect(fileTarget({ path, sandboxId: "sbx_1" })).toEqual({ sandboxId: "sbx_1", path: "/home/user/a b.txt" });
    expect(fileTarget({ path: "a.txt", sandboxId: "sbx_2" })).toEqual({ sandboxId: "sbx_2", path: "a.txt" });
  });

  it.each([
    [{ path: executionUri("exe_1") }],
    [{ path: "kernelbox://nonsense" }],
    [{ path: fileUri("sbx_1", "/home/user/a"), sandboxId: "sbx_2" }],
  ])("is refused where it names no file, or one of another sandbox: %j", (target) => {
    expect(() => fileTarget(target)).toThrow(expect.objectContaining({ code: "invalid_argument" }));
  });
});

describe("names as prose shows them", () => {
  it("escape what breaks lines, hides or reorders, and nothing else", () => {
    expect(quoted("grüß 图 😀.txt")).toBe('"grüß 图 😀.txt"');
    expect(quoted('a"b\n\u0085\u202e\u2028\u2029\u200b\u{e0001}')).toBe('"a\\"b\\n\\u0085\\u202e\\u2028\\u2029\\u200b\\udb40\\udc01"');
    expect(legible("a\u009bb")).toBe("a\\u009bb");
    expect(JSON.parse(quoted("a\u202e\u{e0001}\u0000"))).toBe("a\u202e\u{e0001}\u0000");
  });

  it("are names of resources too, also where they are no characters", () => {
    expect(fileUri("sbx_1", "/home/user/\udc80")).toBe("kernelbox://sandboxes/sbx_1/files/home/user/%EF%BF%BD");
  });
});

const source = (bytes: Buffer, piece = 7) =>
  sourceInPieces(
    bytes,
    Array.from({ length: Math.floor(bytes.length / piece) }, (_, n) => (n + 1) * piece),
  );

describe("windows of a text", () => {
  const text = Array.from({ length: 20 }, (_, n) => `line ${n + 1}\n`).join("");

  it("are what slicing its lines gives, for every offset and limit, however the bytes come", async () => {
    const lines = text.split(/(?<=\n)/);
    for (const piece of [1, 7, 1_000]) {
      for (const offset of [1, 2, 19, 20]) {
        for (const limit of [1, 2, 20, 100]) {
          const window = await readLines(source(Buffer.from(text), piece), offset, limit);
          expect(window.content).toBe(lines.slice(offset - 1, offset - 1 + limit).join(""));
          const isMore = offset - 1 + limit < lines.length;
          expect([window.nextOffset, window.lines]).toEqual(isMore ? [offset + limit, null] : [null, 20]);
        }
      }
    }
  });

  it("count lines with and without a last newline", async () => {
    for (const [content, lines] of [
      ["", 0],
      ["a", 1],
      ["a\n", 1],
      ["a\nb", 2],
      ["\n", 1],
      ["\n\n", 2],
    ] as const) {
      expect((await readLines(source(Buffer.from(content)), 1, 100)).lines).toBe(lines);
      expect(await readLines(source(Buffer.from(content)), 100, 100)).toMatchObject({ content: "", lines });
    }
  });

  it("stop at whole lines, or at whole characters of a line that is too long", async () => {
    const rows = `${"x".repeat(999)}\n`.repeat(100);
    const first = await readLines(source(Buffer.from(rows), 65_536), 1, 10_000);
    expect(first).toMatchObject({ nextOffset: 51, nextOffsetBytes: null });
    expect(first.content).toHaveLength(LIMITS.readFileBytes);
    const wide = await readLines(source(Buffer.from("é".repeat(40_000)), 65_536), 1, 10);
    expect(wide.nextOffsetBytes).toBe(LIMITS.readFileBytes);
    const odd = await readLines(source(Buffer.from(`a${"é".repeat(40_000)}`), 65_536), 1, 10);
    expect(odd.nextOffsetBytes).toBe(LIMITS.readFileBytes - 1);
  });

  it("are bytes where bytes are asked for", async () => {
    expect((await readBytes(source(Buffer.from("0123456789")), 3, 4)).toString()).toBe("3456");
    expect((await readBytes(source(Buffer.from("012")), 2, 10)).toString()).toBe("2");
  });

  it("are whole characters, from any byte and of any size, and end", async () => {
    const whole = Buffer.from("aé图😀b😀");
    for (const limit of [1, 2, 3, 4, 5, 100]) {
      for (let offset = 0; offset <= whole.length; offset++) {
        let content = "";
        let from: number | undefined;
        for (let at: number | null = offset; at !== null; ) {
          const window = await readCharacters(source(whole, 3), at, limit);
          from ??= window.offsetBytes;
          expect(window.nextOffsetBytes ?? whole.length + 1).toBeGreaterThan(at);
          content += window.content;
          at = window.nextOffsetBytes;
        }
        expect(from as number).toBeGreaterThanOrEqual(offset);
        expect(content).toBe(whole.subarray(from).toString());
        expect(whole.subarray(0, from).toString()).not.toContain("\ufffd");
      }
    }
    expect(await readCharacters(source(Buffer.from("abc")), 0, 2)).toEqual({ content: "ab", offsetBytes: 0, nextOffsetBytes: 2 });
    for (const bytes of [Buffer.alloc(9, 0x80), Buffer.from([0x61, 0xe2, 0x82])])
      await expect(readCharacters(source(bytes), 0, 100)).rejects.toThrow(/UTF-8/);
  });

  it("refuse what is not text", () => {
    for (const bytes of [Buffer.from([0xff, 0xfe]), Buffer.from("a\0b"), Buffer.from([0xe2, 0x82])])
      expect(() => decodeText(bytes)).toThrow(/UTF-8/);
  });

  it("end at characters", () => {
    for (const character of ["a", "é", "图", "😀"]) {
      const bytes = Buffer.from(`x${character}`);
      for (let cut = 1; cut <= bytes.length; cut++) {
        const at = characterBoundary(bytes.subarray(0, cut));
        expect(at).toBe(cut === bytes.length ? cut : 1);
      }
    }
  });
});
