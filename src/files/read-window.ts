import { KernelboxError } from "../errors.ts";
import { CHARACTER_BYTES_MAX, characterBoundary, characterBytes, remainder, textOf } from "../events/utf8.ts";
import { LIMITS } from "../limits.ts";
import type { Source } from "./source.ts";

export interface LineWindow {
  content: string;
  /** Lines of the whole text, where it was read to its end. */
  lines: number | null;
  nextOffset: number | null;
  nextOffsetBytes: number | null;
}

const NEWLINE = 0x0a;

/** Bytes of a source, at most `limit`. */
export async function readBytes(source: Source, offset: number, limit: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  let bytes = 0;
  await source.stream(offset, limit, (chunk) => {
    parts.push(chunk.subarray(0, limit - bytes));
    bytes += chunk.length;
    // To its end, though that is all: only what was read to its end tells whether the file was changed meanwhile.
    return bytes <= limit;
  });
  return Buffer.concat(parts);
}

export interface TextWindow {
  content: string;
  /** Where it begins: behind what remains of a character that the offset lies in the middle of. */
  offsetBytes: number;
  nextOffsetBytes: number | null;
}

/** Whole characters of a text from a byte on: as many as fit into `limit` bytes, and at least one, or a reader would never get on. */
export async function readCharacters(source: Source, offset: number, limit: number): Promise<TextWindow> {
  // With what stands before it: bytes that go on with no character are no text, and leaving them out would hide that.
  const back = Math.min(offset, CHARACTER_BYTES_MAX - 1);
  const read = await readBytes(source, offset - back, back + limit + 2 * (CHARACTER_BYTES_MAX - 1));
  const from = remainder(read.subarray(0, back), read.subarray(back));
  const bytes = read.subarray(back + from);
  const isToEnd = offset - back + read.length >= source.sizeBytes && bytes.length <= limit;
  const end = isToEnd ? bytes.length : characterBoundary(bytes.subarray(0, limit)) || characterBytes(bytes[0]);
  const shown = bytes.subarray(0, end);
  const next = offset + from + shown.length;
  return { content: decodeText(shown), offsetBytes: offset + from, nextOffsetBytes: next < source.sizeBytes ? next : null };
}

/**
 * Lines of a text, from `firstLine` (the first is 1), at most `lineLimit`, and as many of them as fit into the bytes of a reply. Says where to
 * go on: at a line, or at a byte where a single line is longer than a reply.
 */
export async function readLines(source: Source, firstLine: number, lineLimit: number): Promise<LineWindow> {
  const bytesMax = LIMITS.readFileBytes;
  const parts: Buffer[] = [];
  let line = 1;
  let kept = 0;
  let keptFrom = 0;
  let position = 0;
  let lastByte: number | undefined;
  let stoppedAt: "lines" | "bytes" | undefined;
  await source.stream(0, undefined, (chunk) => {
    let at = 0;
    while (at < chunk.length) {
      if (line >= firstLine + lineLimit) {
        stoppedAt = "lines";
        return false;
      }
      const newline = chunk.indexOf(NEWLINE, at);
      const end = newline === -1 ? chunk.length : newline + 1;
      if (line >= firstLine) {
        if (parts.length === 0) keptFrom = position + at;
        const piece = chunk.subarray(at, Math.min(end, at + bytesMax - kept));
        parts.push(piece);
        kept += piece.length;
        if (piece.length < end - at || (kept >= bytesMax && position + end < source.sizeBytes)) {
          stoppedAt = "bytes";
          return false;
        }
      }
      if (newline !== -1) line++;
      at = end;
    }
    position += chunk.length;
    lastByte = chunk.at(-1) ?? lastByte;
    return true;
  });
  const bytes = Buffer.concat(parts, kept);
  if (stoppedAt === undefined) {
    const lines = lastByte === undefined || lastByte === NEWLINE ? line - 1 : line;
    return { content: decodeText(bytes), lines, nextOffset: null, nextOffsetBytes: null };
  }
  if (stoppedAt === "lines") return { content: decodeText(bytes), lines: null, nextOffset: line, nextOffsetBytes: null };
  const whole = bytes.lastIndexOf(NEWLINE) + 1;
  if (whole > 0) {
    const shown = bytes.subarray(0, whole);
    return { content: decodeText(shown), lines: null, nextOffset: firstLine + countLines(shown), nextOffsetBytes: null };
  }
  const shown = bytes.subarray(0, characterBoundary(bytes));
  return { content: decodeText(shown), lines: null, nextOffset: null, nextOffsetBytes: keptFrom + shown.length };
}

/** UTF-8 or a clear refusal. */
export function decodeText(bytes: Buffer): string {
  const text = textOf(bytes);
  if (text !== undefined) return text;
  throw new KernelboxError(
    "invalid_argument",
    "The file is not UTF-8 text.",
    'Read it with encoding "base64", or open it in code with its own encoding.',
  );
}

function countLines(bytes: Buffer): number {
  let lines = 0;
  for (const byte of bytes) if (byte === NEWLINE) lines++;
  return lines;
}
