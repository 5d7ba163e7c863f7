/** Text as bytes, and where its characters begin and end. */

export const CHARACTER_BYTES_MAX = 4;

/** The text, or undefined for what is not UTF-8; what holds NUL is taken for binary too. */
export function textOf(bytes: Buffer): string | undefined {
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    return text.includes("\0") ? undefined : text;
  } catch {
    return undefined;
  }
}

/** Where the last whole UTF-8 character ends. */
export function characterBoundary(bytes: Buffer): number {
  for (let back = 1; back <= Math.min(CHARACTER_BYTES_MAX, bytes.length); back++) {
    const byte = bytes[bytes.length - back] as number;
    if (isContinuation(byte)) continue;
    return characterBytes(byte) > back ? bytes.length - back : bytes.length;
  }
  return bytes.length;
}

/** How many bytes a character has, by its first; what begins none counts as one. */
export function characterBytes(first: number | undefined): number {
  if (first === undefined || first < 0xc0 || first >= 0xf8) return 1;
  return first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
}

/** How many of the bytes belong to a character that begins in those before them. */
export function remainder(before: Buffer, bytes: Buffer): number {
  const begun = before.subarray(characterBoundary(before));
  const missing = begun.length === 0 ? 0 : characterBytes(begun[0]) - begun.length;
  const others = bytes.subarray(0, missing).findIndex((byte) => !isContinuation(byte));
  return others === -1 ? Math.min(missing, bytes.length) : others;
}

/** Continuation bytes are 10xxxxxx. */
function isContinuation(byte: number): boolean {
  return (byte & 0xc0) === 0x80;
}
