import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CHARACTER_BYTES_MAX } from "../../../src/events/utf8.ts";
import { readBytes, readCharacters, readLines } from "../../../src/files/read-window.ts";
import { LIMITS } from "../../../src/limits.ts";
import { sourceInPieces } from "../../helpers/source.ts";

/** Characters of one to four bytes, ends of lines of all kinds, none, and what stands in front of a text or joins its characters. */
const piece = fc.oneof(
  fc.string({ unit: "binary", maxLength: 12 }).filter((text) => !text.includes("\0")),
  fc.constantFrom("\n", "\r\n", "\r", "\n\n\n", "a", "é", "图", "😀", "\ufeff", "e\u0301", "\u2028", "👩‍💻"),
);
/** Longer than a reply, off by any number of bytes. */
const run = fc
  .tuple(fc.constantFrom("a", "é", "图", "😀", "ab\n", "图\r\n", "\n"), fc.integer({ min: -9, max: 9 }), fc.integer({ min: 1, max: 2 }))
  .map(([unit, more, replies]) => unit.repeat(Math.floor((replies * LIMITS.readFileBytes) / Buffer.byteLength(unit)) + more));
const text = fc
  .array(fc.oneof({ weight: 12, arbitrary: piece }, { weight: 1, arbitrary: run }), { maxLength: 30 })
  .map((pieces) => pieces.join(""));
const cuts = fc.array(fc.nat(), { maxLength: 40 });
/** Each window of a walk has the next of these sizes. */
const sizes = (max: number) => fc.array(fc.integer({ min: 1, max }), { minLength: 1, maxLength: 6 });
const sizeOf = (sizes: number[], n: number) => sizes[n % sizes.length] as number;

const linesOf = (whole: string) => whole.split(/(?<=\n)/).filter((line) => line !== "");

describe("windows of any text, wherever its source cuts it", { timeout: 30_000 }, () => {
  it("by lines, and by bytes where a line is longer than a reply, are the text again", async () => {
    await fc.assert(
      fc.asyncProperty(text, cuts, sizes(60), sizes(60_000), async (whole, cuts, limits, byteLimits) => {
        const bytes = Buffer.from(whole);
        const from = sourceInPieces(bytes, cuts);
        let content = "";
        let line: number | null = 1;
        let byte: number | null = null;
        // Each window reads from the beginning on: of many lines not one at a time.
        const atLeast = Math.ceil(linesOf(whole).length / 40);
        for (let n = 0; line !== null; n++) {
          const limit = Math.max(sizeOf(limits, n), atLeast);
          const window = await readLines(from, line, limit);
          content += window.content;
          expect(Buffer.byteLength(window.content)).toBeLessThanOrEqual(LIMITS.readFileBytes);
          expect(linesOf(window.content).length).toBeLessThanOrEqual(limit);
          const isEnd = window.nextOffset === null && window.nextOffsetBytes === null;
          expect(window.lines).toBe(isEnd ? linesOf(whole).length : null);
          if (window.nextOffset !== null) {
            expect(window.nextOffset).toBe(line + linesOf(window.content).length);
            expect(window.nextOffset).toBeGreaterThan(line);
          }
          line = window.nextOffset;
          byte = window.nextOffsetBytes;
        }
        if (byte !== null) expect(byte).toBe(Buffer.byteLength(content));
        for (let n = 0; byte !== null; n++) {
          const window = await readCharacters(from, byte, sizeOf(byteLimits, n) + 10_000);
          expect(window.offsetBytes).toBe(byte);
          if (window.nextOffsetBytes !== null) expect(window.nextOffsetBytes).toBeGreaterThan(byte);
          content += window.content;
          byte = window.nextOffsetBytes;
        }
        expect(content === whole).toBe(true);
      }),
      { numRuns: 80 },
    );
  });

  it("by lines, from any line on, are those lines or as many of them as a reply holds", async () => {
    await fc.assert(
      fc.asyncProperty(text, cuts, fc.integer({ min: 1, max: 60 }), fc.integer({ min: 1, max: 60 }), async (whole, cuts, first, limit) => {
        const lines = linesOf(whole);
        const wanted = lines.slice(first - 1, first - 1 + limit).join("");
        const window = await readLines(sourceInPieces(Buffer.from(whole), cuts), first, limit);
        if (Buffer.byteLength(wanted) <= LIMITS.readFileBytes) expect(window.content === wanted).toBe(true);
        expect(wanted.startsWith(window.content)).toBe(true);
        expect(Buffer.byteLength(window.content)).toBeLessThanOrEqual(LIMITS.readFileBytes);
        if (window.nextOffsetBytes !== null) {
          const before = Buffer.byteLength(lines.slice(0, first - 1).join(""));
          expect(window.nextOffsetBytes).toBe(before + Buffer.byteLength(window.content));
        }
        const isWhole = first - 1 + limit >= lines.length && window.content === wanted;
        expect(window.lines).toBe(isWhole ? lines.length : null);
      }),
      { numRuns: 300 },
    );
  });

  it("by bytes are whole characters, at most as many bytes as asked for or one character, and the text again", async () => {
    const small = fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join(""));
    await fc.assert(
      fc.asyncProperty(small, cuts, fc.nat(), sizes(12), async (whole, cuts, start, limits) => {
        const bytes = Buffer.from(whole);
        const from = sourceInPieces(bytes, cuts);
        let at: number | null = start % (bytes.length + 1);
        let content = "";
        let begun: number | undefined;
        for (let n = 0; at !== null; n++) {
          const window = await readCharacters(from, at, sizeOf(limits, n));
          begun ??= window.offsetBytes;
          expect(window.offsetBytes - at).toBeLessThan(n === 0 ? CHARACTER_BYTES_MAX : 1);
          const size = Buffer.byteLength(window.content);
          if (size > sizeOf(limits, n)) expect([...window.content]).toHaveLength(1);
          if (window.nextOffsetBytes !== null) {
            expect(window.nextOffsetBytes).toBe(window.offsetBytes + size);
            expect(size).toBeGreaterThan(0);
          }
          content += window.content;
          at = window.nextOffsetBytes;
        }
        expect(Buffer.from(content).equals(bytes.subarray(begun))).toBe(true);
      }),
      { numRuns: 1_000 },
    );
  });

  it("as bytes are any bytes again, exactly as many as asked for until the end", async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), cuts, sizes(40), async (any, cuts, limits) => {
        const whole = Buffer.from(any);
        const parts: Buffer[] = [];
        for (let at = 0, n = 0; at < whole.length; n++) {
          const part = await readBytes(sourceInPieces(whole, cuts), at, sizeOf(limits, n));
          expect(part).toHaveLength(Math.min(sizeOf(limits, n), whole.length - at));
          parts.push(part);
          at += part.length;
        }
        expect(Buffer.concat(parts).equals(whole)).toBe(true);
        expect(await readBytes(sourceInPieces(whole, cuts), whole.length, 9)).toHaveLength(0);
      }),
      { numRuns: 500 },
    );
  });

  it("of any bytes are text or a refusal, never other text, and end", async () => {
    // Mostly bytes that begin and go on with characters that are none.
    const odd = fc.array(fc.oneof(fc.constantFrom(0x61, 0x0a, 0x80, 0xbf, 0xc3, 0xe2, 0xf0, 0xff), fc.integer({ min: 0, max: 255 })), {
      maxLength: 40,
    });
    await fc.assert(
      fc.asyncProperty(odd, cuts, sizes(9), async (any, cuts, limits) => {
        const whole = Buffer.from(any);
        const from = sourceInPieces(whole, cuts);
        const parts: string[] = [];
        try {
          for (let at: number | null = 0, n = 0; at !== null; n++) {
            const window = await readCharacters(from, at, sizeOf(limits, n));
            if (window.nextOffsetBytes !== null) expect(window.nextOffsetBytes).toBeGreaterThan(at);
            parts.push(window.content);
            at = window.nextOffsetBytes;
          }
        } catch (error) {
          expect(error).toMatchObject({ code: "invalid_argument" });
          await expect(readLines(from, 1, 100)).rejects.toMatchObject({ code: "invalid_argument" });
          return;
        }
        expect(Buffer.from(parts.join("")).equals(whole)).toBe(true);
        expect((await readLines(from, 1, 100)).content).toBe(parts.join(""));
      }),
      { numRuns: 1_000 },
    );
  });
});
