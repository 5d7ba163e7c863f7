import { Transform, type TransformCallback } from "node:stream";

const NEWLINE = 0x0a;

/**
 * Passes a host's bytes on in whole lines, each of them one JSON-RPC message. The SDK copies and searches all that it holds at every chunk, which a
 * file of some megabytes in small pieces turns into seconds; of whole lines it takes each once. A line over the bound ends the stream with an error.
 */
export class MessageLines extends Transform {
  readonly #bytesMax: number;
  #parts: Buffer[] = [];
  #bytes = 0;

  constructor(bytesMax: number) {
    super();
    this.#bytesMax = bytesMax;
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    const end = chunk.lastIndexOf(NEWLINE) + 1;
    if (end > 0) {
      this.push(Buffer.concat([...this.#parts, chunk.subarray(0, end)]));
      this.#parts = [];
      this.#bytes = 0;
    }
    if (end < chunk.length) this.#parts.push(chunk.subarray(end));
    this.#bytes += chunk.length - end;
    done(this.#bytes > this.#bytesMax ? new RangeError(`The host sent a message of more than ${this.#bytesMax} bytes.`) : null);
  }
}
