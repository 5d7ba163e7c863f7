import { Duplex } from "node:stream";
import { LIMITS } from "../../limits.ts";

const HEADER_BYTES = 8;
const STDOUT = 1;
const STDERR = 2;
/** Pieces that are smaller on average are joined. */
const COPIED_BYTES = 4_096;

/**
 * An attached container's hijacked connection as one duplex stream: what is written goes to its stdin, what is read is its stdout; its stderr is read and
 * dropped. The engine puts 8 bytes before each piece of output: the stream's number, three zeros, the length (Docker Engine API,
 * "Attach to a container"). A header of another form is an error. The work is linear in the bytes however they are cut, and both directions push back.
 */
export class AttachedStream extends Duplex {
  readonly #connection: Duplex;
  readonly #header = Buffer.alloc(HEADER_BYTES);
  #headerHas = 0;
  #pieceLeft = 0;
  #isStdout = false;

  constructor(connection: Duplex) {
    super({ allowHalfOpen: false });
    this.#connection = connection;
    connection.on("data", (chunk: Buffer) => this.#take(chunk));
    connection.on("end", () => this.#end());
    connection.on("error", (error) => this.destroy(error));
    connection.on("close", () => this.destroy());
  }

  override _read(): void {
    this.#connection.resume();
  }

  // Done means that the kernel has taken the bytes, so that a container that does not read holds its writer back.
  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#connection.write(chunk, done);
  }

  override _writev(chunks: { chunk: Buffer }[], done: (error?: Error | null) => void): void {
    this.#connection.cork();
    chunks.forEach(({ chunk }, index) => {
      this.#connection.write(chunk, index === chunks.length - 1 ? done : undefined);
    });
    this.#connection.uncork();
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#connection.end(() => done());
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#connection.destroy();
    done(error);
  }

  #end(): void {
    if (this.#headerHas === 0 && this.#pieceLeft === 0) this.push(null);
    else this.destroy(new Error("The engine's stream ended within a piece."));
  }

  /** One push for a chunk's stdout in tiny pieces: thousands of them must not become thousands of entries in the reader's buffer. Large ones are not copied. */
  #take(chunk: Buffer): void {
    const pieces: Buffer[] = [];
    let at = 0;
    while (at < chunk.length) {
      if (this.#pieceLeft > 0) {
        const taken = Math.min(this.#pieceLeft, chunk.length - at);
        if (this.#isStdout) pieces.push(chunk.subarray(at, at + taken));
        this.#pieceLeft -= taken;
        at += taken;
        continue;
      }
      const taken = Math.min(HEADER_BYTES - this.#headerHas, chunk.length - at);
      chunk.copy(this.#header, this.#headerHas, at, at + taken);
      this.#headerHas += taken;
      at += taken;
      if (this.#headerHas === HEADER_BYTES && !this.#takeHeader()) {
        this.destroy(new Error("The engine's stream has a header of an unknown form."));
        return;
      }
    }
    const bytes = pieces.reduce((sum, { length }) => sum + length, 0);
    const pushed = pieces.length > 1 && bytes < pieces.length * COPIED_BYTES ? [Buffer.concat(pieces, bytes)] : pieces;
    for (const piece of pushed) if (!this.push(piece)) this.#connection.pause();
  }

  #takeHeader(): boolean {
    this.#headerHas = 0;
    const stream = this.#header[0];
    this.#isStdout = stream === STDOUT;
    this.#pieceLeft = this.#header.readUInt32BE(4);
    return (this.#isStdout || stream === STDERR) && this.#header.readUIntBE(1, 3) === 0 && this.#pieceLeft <= LIMITS.enginePieceBytes;
  }
}
