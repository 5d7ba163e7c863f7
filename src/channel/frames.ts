import { KernelboxError } from "../errors.ts";
import { LIMITS } from "../limits.ts";

/** Frames of the channel: docs/channel-protocol.md is the contract, sandbox/kernelbox/frames.py the other end. */

export const PROTOCOL_VERSION = 1;

export const FRAME = {
  attach: 1,
  hello: 2,
  request: 3,
  response: 4,
  event: 5,
  data: 6,
  end: 7,
  credit: 8,
  abort: 9,
  ping: 10,
  pong: 11,
} as const;
export type FrameKind = (typeof FRAME)[keyof typeof FRAME];

const MAGIC = 0x4b;
const MORE = 0x80;
export const HEADER_BYTES = 10;
export const NONCE_BYTES = 16;
const LAST_KIND = FRAME.pong;

export interface Frame {
  kind: number;
  /** The message goes on in a later frame of the same kind and stream. */
  more: boolean;
  stream: number;
  payload: Buffer;
}

export function encodeFrame(kind: FrameKind, stream: number, payload: Uint8Array): Buffer {
  return Buffer.concat([encodeHeader(kind, stream, payload.length), payload]);
}

/** What stands before a payload of so many bytes; a large payload is written behind it as it is, without a copy. */
export function encodeHeader(kind: FrameKind, stream: number, length: number): Buffer {
  if (length > LIMITS.frameBytes) throw new RangeError(`A frame holds ${LIMITS.frameBytes} bytes, not ${length}.`);
  const header = Buffer.allocUnsafe(HEADER_BYTES);
  header[0] = MAGIC;
  header[1] = kind;
  header.writeUInt32BE(stream, 2);
  header.writeUInt32BE(length, 6);
  return header;
}

/** One message as frames, cut where it is longer than a frame may be. */
export function* encodeMessage(kind: FrameKind, stream: number, payload: Uint8Array): Generator<Buffer> {
  let at = 0;
  for (; payload.length - at > LIMITS.frameBytes; at += LIMITS.frameBytes) {
    const frame = encodeFrame(kind, stream, payload.subarray(at, at + LIMITS.frameBytes));
    frame[1] = kind | MORE;
    yield frame;
  }
  yield encodeFrame(kind, stream, payload.subarray(at));
}

/** Zeros that end whatever frame an earlier server left half written; a supervisor skips the rest of them. */
export function resyncPadding(): Buffer {
  return Buffer.alloc(LIMITS.frameBytes + HEADER_BYTES);
}

function violation(what: string): KernelboxError {
  return new KernelboxError(
    "sandbox_lost",
    `The sandbox broke the channel's protocol: ${what}.`,
    "Make a new sandbox; this one cannot be trusted any more.",
  );
}

/**
 * Cuts a hostile byte stream into frames. Until the nonce of our own hello has been seen all bytes are dropped, since they may be
 * the end of a frame made for an earlier server. A frame of data comes in pieces as it arrives, since nobody needs it whole; of others each byte is
 * copied at most twice, however the stream is cut.
 */
export class FrameDecoder {
  readonly #nonce: Buffer;
  #synced = false;
  #chunks: Buffer[] = [];
  #held = 0;
  #needed = HEADER_BYTES;
  /** What is still to come of a frame of data. */
  #dataLeft = 0;
  #dataStream = 0;

  constructor(nonce: Buffer) {
    this.#nonce = nonce;
  }

  /** Whole frames that this chunk completed, and pieces of data. Throws `sandbox_lost` on a byte stream that cannot be ours. */
  push(chunk: Buffer): Frame[] {
    this.#chunks.push(chunk);
    this.#held += chunk.length;
    if (!this.#synced && !this.#sync()) return [];
    const frames: Frame[] = [];
    if (this.#dataLeft === 0 && this.#held < this.#needed) return frames;
    const bytes = this.#take();
    let at = 0;
    while (true) {
      if (this.#dataLeft > 0) {
        if (at === bytes.length) return frames;
        const payload = bytes.subarray(at, at + this.#dataLeft);
        frames.push({ kind: FRAME.data, more: false, stream: this.#dataStream, payload });
        this.#dataLeft -= payload.length;
        at += payload.length;
        continue;
      }
      while (at < bytes.length && bytes[at] === 0) at++;
      const left = bytes.length - at;
      if (left < HEADER_BYTES) {
        if (left > 0 && bytes[at] !== MAGIC) throw violation("a frame begins with a wrong byte");
        this.#keep(bytes, at, HEADER_BYTES);
        return frames;
      }
      if (bytes[at] !== MAGIC) throw violation("a frame begins with a wrong byte");
      const kindByte = bytes[at + 1] as number;
      const kind = kindByte & ~MORE;
      const stream = bytes.readUInt32BE(at + 2);
      const length = bytes.readUInt32BE(at + 6);
      if (kind === 0 || kind > LAST_KIND) throw violation("a frame of an unknown kind");
      if (length > LIMITS.frameBytes) throw violation(`a frame of ${length} bytes, more than ${LIMITS.frameBytes}`);
      if (kind === FRAME.data) {
        this.#dataLeft = length;
        this.#dataStream = stream;
        at += HEADER_BYTES;
        continue;
      }
      const whole = HEADER_BYTES + length;
      if (left < whole) {
        this.#keep(bytes, at, whole);
        return frames;
      }
      const payload = bytes.subarray(at + HEADER_BYTES, at + whole);
      frames.push({ kind, more: (kindByte & MORE) !== 0, stream, payload });
      at += whole;
    }
  }

  #take(): Buffer {
    const bytes = this.#chunks.length === 1 ? (this.#chunks[0] as Buffer) : Buffer.concat(this.#chunks, this.#held);
    this.#chunks = [];
    this.#held = 0;
    return bytes;
  }

  #keep(bytes: Buffer, from: number, needed: number): void {
    if (from < bytes.length) {
      this.#chunks = [bytes.subarray(from)];
      this.#held = bytes.length - from;
    }
    this.#needed = needed;
  }

  /** Looks for the nonce, which stands right behind the header of our hello, and drops what lies before that header. */
  #sync(): boolean {
    const bytes = this.#take();
    const at = bytes.indexOf(this.#nonce);
    if (at >= HEADER_BYTES) {
      this.#synced = true;
      this.#keep(bytes, at - HEADER_BYTES, HEADER_BYTES);
      return true;
    }
    this.#keep(bytes, Math.max(0, bytes.length - HEADER_BYTES - this.#nonce.length), HEADER_BYTES);
    return false;
  }
}
