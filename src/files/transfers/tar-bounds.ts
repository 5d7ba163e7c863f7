import { KernelboxError } from "../../errors.ts";
import { LIMITS } from "../../limits.ts";

const BLOCK = 512;
const TYPE_AT = 156;
const SIZE_AT = 124;
const SIZE_LENGTH = 12;
const CHECKSUM = { from: 148, to: 156 };
/** Types of what only describes the entry behind it: pax records, and GNU's long names. The reader holds them in memory. */
const RECORDS = ["x", "g"];
const DESCRIPTIONS = [...RECORDS, "L", "K", "N"];
const DIRECTORY = "5";
/** Before an entry there may be its own description, a global one, and two long names. */
const HEADERS_PER_ENTRY = 5;

/**
 * Passes a tar on, and looks at its headers in front of whoever reads it: what describes entries is bounded, sizes are read in one way only, and the end is
 * really there. Throws `invalid_argument` or `too_large` before the reader sees what was refused.
 */
export async function* boundedTar(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const header = Buffer.alloc(BLOCK);
  let filled = 0;
  let data = 0;
  let headers = 0;
  let isEnded = false;
  let records: Buffer | undefined;
  let recorded = 0;
  for await (const chunk of bytes) {
    for (let at = 0; at < chunk.length; ) {
      const length = Math.min(data > 0 ? data : BLOCK - filled, chunk.length - at);
      const part = chunk.subarray(at, at + length);
      at += length;
      if (data > 0) {
        data -= length;
        if (records === undefined) continue;
        records.set(part.subarray(0, records.length - recorded), recorded);
        recorded = Math.min(records.length, recorded + length);
        if (data === 0) checkRecords(records);
        continue;
      }
      header.set(part, filled);
      filled += length;
      if (filled < BLOCK) continue;
      filled = 0;
      isEnded = isZero(header);
      records = undefined;
      recorded = 0;
      if (isEnded) continue;
      if (++headers > HEADERS_PER_ENTRY * LIMITS.archiveEntries) throw tooMany();
      const type = String.fromCharCode(header[TYPE_AT] as number);
      const size = sizeOf(header);
      if (DESCRIPTIONS.includes(type)) {
        if (size > LIMITS.archiveHeaderBytes) throw badArchive("what it says of an entry is too long");
        // The reader would wait for its end in what follows, and see other entries than we do.
        if (size === 0) throw badArchive("it says nothing of an entry where it should");
      }
      if (RECORDS.includes(type)) records = Buffer.alloc(size);
      data = type === DIRECTORY ? 0 : Math.ceil(size / BLOCK) * BLOCK;
    }
    yield chunk;
  }
  if (!isEnded || filled > 0 || data > 0) throw badArchive("it ends too early, or is none");
}

/** Nothing but zeros, the checksum's place left aside, as the reader sees it. */
function isZero(header: Buffer): boolean {
  return header.every((byte, at) => byte === 0 || (at >= CHECKSUM.from && at < CHECKSUM.to));
}

/** Octal digits, or a large number in base 256; whatever could be read in two ways is refused. */
function sizeOf(header: Buffer): number {
  const field = header.subarray(SIZE_AT, SIZE_AT + SIZE_LENGTH);
  const octal = /^ *([0-7]*)[ \0]*$/.exec(field.toString("latin1"));
  if (octal === null && field[0] !== 0x80) throw badArchive("the size of an entry cannot be read");
  const size = octal === null ? Number(`0x${field.subarray(1).toString("hex")}`) : Number.parseInt(octal[1] || "0", 8);
  if (size > LIMITS.transferBytes)
    throw new KernelboxError(
      "too_large",
      "An entry of the archive claims to be too large.",
      `An archive may hold ${LIMITS.transferBytes} bytes.`,
    );
  return size;
}

/** Records are `LENGTH KEY=VALUE\n`, the length counting all of it. One that changes a size would let the reader see other entries than we do. */
function checkRecords(records: Buffer): void {
  for (let at = 0; at < records.length; ) {
    const head = /^([1-9][0-9]{0,5}) ([^=\n]+)=/.exec(records.toString("latin1", at, at + 256));
    const end = at + Number(head?.[1]);
    if (head === null || end > records.length || at + head[0].length >= end || records[end - 1] !== 0x0a)
      throw badArchive("what it says of an entry cannot be read");
    if (head[2] === "size") throw badArchive("it gives the size of an entry twice");
    at = end;
  }
}

export function tooMany(): KernelboxError {
  return new KernelboxError(
    "too_large",
    `There are more than ${LIMITS.archiveEntries} files and folders in it.`,
    "Pack them into one file, or move less at once.",
  );
}

export function badArchive(why: string, details?: Record<string, unknown>): KernelboxError {
  return new KernelboxError(
    "invalid_argument",
    `The archive is not one that is unpacked: ${why}. Nothing was written.`,
    "Make it again as a plain tar of files and folders (not compressed), or upload it as a file and unpack it in code.",
    details === undefined ? {} : { details },
  );
}
