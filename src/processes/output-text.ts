import { plainText } from "../events/terminal-text.ts";
import { characterBoundary } from "../events/utf8.ts";
import { LIMITS } from "../limits.ts";
import type { SpooledText } from "../store/spooled-text.ts";

export interface ShownText {
  text: string;
  shownBytes: number;
  isWhole: boolean;
}

/** What a reader is shown of all that was said: its beginning and its end, made plain. */
export async function shownText(stream: SpooledText): Promise<ShownText> {
  const half = LIMITS.replyTextCharacters / 2;
  if (stream.bytes <= 2 * half) {
    const bytes = await stream.read(0, stream.bytes);
    return { text: plainText(bytes.toString()), shownBytes: bytes.length, isWhole: stream.droppedBytes === 0 };
  }
  const total = stream.bytes;
  const head = wholeCharacters(await stream.read(0, half));
  const tail = await stream.read(total - half, half);
  const from = tail.findIndex((byte) => (byte & 0xc0) !== 0x80);
  const shownBytes = head.length + tail.length - Math.max(0, from);
  const text = `${plainText(head.toString())}\n[… ${total - shownBytes} bytes left out …]\n${plainText(tail.subarray(Math.max(0, from)).toString())}`;
  return { text, shownBytes, isWhole: false };
}

/** As it was said, from a byte on: whole characters, and where to go on. */
export async function textFrom(stream: SpooledText, offset: number, limit: number): Promise<{ text: string; nextOffset: number }> {
  const bytes = await stream.read(offset, limit);
  const shown = offset + bytes.length < stream.bytes ? wholeCharacters(bytes) : bytes;
  return { text: shown.toString(), nextOffset: offset + shown.length };
}

/** Without a character that is cut at the end; bytes that are no text stay. */
function wholeCharacters(bytes: Buffer): Buffer {
  return bytes.subarray(0, characterBoundary(bytes) || bytes.length);
}
