import { KernelboxError } from "../errors.ts";
import { LIMITS } from "../limits.ts";
import type { Source } from "./sources.ts";

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
    return bytes < limit;
  });
  return Buffer.concat(parts);
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
    return true;
  });
  const bytes = Buffer.concat(parts, kept);
  if (stoppedAt === undefined) {
    const lines = source.sizeBytes === 0 ? 0 : line - (lastByteIsNewline(bytes, parts.length > 0) ? 1 : 0);
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

/** UTF-8 or a clear refusal; text with NUL is taken for binary too. */
export function decodeText(bytes: Buffer): string {
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    if (!text.includes("\0")) return text;
  } catch {
    // Said below, as for NUL.
  }
  throw new KernelboxError(
    "invalid_argument",
    "The file is not UTF-8 text.",
    'Read it with encoding "base64", or open it in code with its own encoding.',
  );
}

/** Where the last whole UTF-8 character ends: continuation bytes are 10xxxxxx. */
export function characterBoundary(bytes: Buffer): number {
  for (let back = 1; back <= Math.min(4, bytes.length); back++) {
    const byte = bytes[bytes.length - back] as number;
    if ((byte & 0xc0) === 0x80) continue;
    const needed = byte < 0x80 ? 1 : byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
    return needed > back ? bytes.length - back : bytes.length;
  }
  return bytes.length;
}

function lastByteIsNewline(bytes: Buffer, hasBytes: boolean): boolean {
  // Where nothing was kept, the text ended before the first line that was asked for, which it does only behind a newline.
  return !hasBytes || bytes[bytes.length - 1] === NEWLINE;
}

function countLines(bytes: Buffer): number {
  let lines = 0;
  for (const byte of bytes) if (byte === NEWLINE) lines++;
  return lines;
}
