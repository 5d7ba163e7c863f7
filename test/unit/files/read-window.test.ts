import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { KernelboxError } from "../../../src/errors.ts";
import { readAgain, readBytes, readCharacters, readLines } from "../../../src/files/read-window.ts";
import type { Source } from "../../../src/files/source.ts";
import { LIMITS } from "../../../src/limits.ts";

/** A source whose pieces are as long as the list says, over and over. */
function source(bytes: Buffer, pieces: readonly number[]): Source {
  const stream: Source["stream"] = async (offset, limit, onData) => {
    const end = limit === undefined ? bytes.length : Math.min(bytes.length, offset + limit);
    for (let at = offset, n = 0; at < end; n++) {
      const piece = bytes.subarray(at, Math.min(end, at + (pieces[n % pieces.length] ?? 1)));
      at += piece.length;
      if (!(await onData(piece))) return;
    }
  };
  return { uri: "", sandboxId: "", path: "", fileId: null, sizeBytes: bytes.length, mimeType: "", modifiedAt: null, mode: null, stream };
}

const pieces = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 4 });
const text = fc.string({ unit: fc.constantFrom("a", "\n", "\r\n", "é", "图", "😀"), maxLength: 60 });
/** Now and then a line that is longer than a reply. */
const longText = fc
  .tuple(text, fc.constantFrom(0, LIMITS.readFileBytes - 1, LIMITS.readFileBytes, 2 * LIMITS.readFileBytes + 3), text)
  .map(([before, length, after]) => before + "ü".repeat(length / 2) + after);

describe("windows put together are the whole, whatever they are", () => {
  it("by lines", async () => {
    await fc.assert(
      fc.asyncProperty(text, pieces, fc.integer({ min: 1, max: 5 }), async (content, cut, limit) => {
        const whole = source(Buffer.from(content), cut);
        let read = "";
        let lines: number | null = null;
        for (let offset: number | null = 1; offset !== null; ) {
          const window = await readLines(whole, offset, limit);
          expect(window.content.split("\n").length - 1).toBeLessThanOrEqual(limit);
          expect(window.nextOffset ?? offset + 1).toBeGreaterThan(offset);
          read += window.content;
          lines = window.lines;
          offset = window.nextOffset;
        }
        expect(read).toBe(content);
        expect(lines).toBe(content === "" ? 0 : content.replace(/\n$/, "").split("\n").length);
      }),
    );
  });

  it("by lines that are longer than a reply, and bytes where one is", async () => {
    await fc.assert(
      fc.asyncProperty(longText, async (content) => {
        const whole = source(Buffer.from(content), [65_536]);
        let read = "";
        let calls = 0;
        for (let at: { line?: number | null; byte?: number | null } = { line: 1 }; ; ) {
          expect(++calls).toBeLessThan(content.length / 1_000 + 20);
          const window =
            at.line == null
              ? { ...(await readCharacters(whole, at.byte ?? 0, LIMITS.readFileBytes)), nextOffset: null }
              : await readLines(whole, at.line, 2_000);
          expect(Buffer.byteLength(window.content)).toBeLessThanOrEqual(LIMITS.readFileBytes);
          read += window.content;
          if (window.nextOffset === null && window.nextOffsetBytes === null) break;
          at = { line: window.nextOffset, byte: window.nextOffsetBytes };
        }
        expect(read).toBe(content);
      }),
      { numRuns: 40 },
    );
  });

  it("by characters, from any byte", async () => {
    await fc.assert(
      fc.asyncProperty(text, pieces, fc.integer({ min: 1, max: 8 }), fc.nat(), async (content, cut, limit, from) => {
        const bytes = Buffer.from(content);
        const start = bytes.length === 0 ? 0 : from % (bytes.length + 1);
        let read = "";
        let begin: number | undefined;
        for (let offset: number | null = start; offset !== null; ) {
          const window = await readCharacters(source(bytes, cut), offset, limit);
          begin ??= window.offsetBytes;
          expect(window.nextOffsetBytes ?? bytes.length + 1).toBeGreaterThan(offset);
          read += window.content;
          offset = window.nextOffsetBytes;
        }
        expect(begin).toBeGreaterThanOrEqual(start);
        expect(read).toBe(bytes.subarray(begin).toString());
      }),
    );
  });

  it("by bytes", async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 80 }), pieces, fc.integer({ min: 1, max: 9 }), async (content, cut, limit) => {
        const parts: Buffer[] = [];
        for (let offset = 0; offset < content.length; offset += limit)
          parts.push(await readBytes(source(Buffer.from(content), cut), offset, limit));
        expect(Buffer.concat(parts).equals(Buffer.from(content))).toBe(true);
      }),
    );
  });
});

describe("what was changed while it was read", () => {
  const busy = new KernelboxError("busy", "changed", "again");

  it("is read once more, and then said", async () => {
    let times = 0;
    expect(
      await readAgain(async () => {
        if (++times === 1) throw busy;
        return "read";
      }),
    ).toBe("read");
    await expect(readAgain(() => Promise.reject(busy))).rejects.toBe(busy);
    times = 0;
    await expect(
      readAgain(async () => {
        times++;
        throw new KernelboxError("not_found", "gone", "look");
      }),
    ).rejects.toMatchObject({ code: "not_found" });
    expect(times).toBe(1);
  });
});
