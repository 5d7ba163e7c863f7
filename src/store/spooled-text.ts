import { type FileHandle, open } from "node:fs/promises";

const MEMORY_BYTES = 32 * 1024;

/** A text's full copy: in memory while it is short, in a file from then on, cut at a bound with what lies behind it counted. */
export class SpooledText {
  readonly #path: string;
  readonly #makeDir: () => Promise<unknown>;
  readonly #takeBytes: (wanted: number) => number;
  #memory: Buffer[] = [];
  #file: FileHandle | undefined;
  #bytes = 0;
  #droppedBytes = 0;

  /** `takeBytes` gives how many of the wanted bytes the budget still has room for. */
  constructor(path: string, makeDir: () => Promise<unknown>, takeBytes: (wanted: number) => number) {
    this.#path = path;
    this.#makeDir = makeDir;
    this.#takeBytes = takeBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get droppedBytes(): number {
    return this.#droppedBytes;
  }

  /** Calls must not overlap. */
  async append(text: string): Promise<void> {
    const bytes = Buffer.from(text);
    const taken = this.#takeBytes(bytes.length);
    this.#droppedBytes += bytes.length - taken;
    if (taken === 0) return;
    this.#memory.push(bytes.subarray(0, taken));
    this.#bytes += taken;
    if (this.#file === undefined && this.#bytes <= MEMORY_BYTES) return;
    if (this.#file === undefined) {
      await this.#makeDir();
      this.#file = await open(this.#path, "wx+", 0o600);
    }
    const pending = Buffer.concat(this.#memory);
    this.#memory = [];
    await this.#file.appendFile(pending);
  }

  /** At most `limit` bytes from `offset`. */
  async read(offset: number, limit: number): Promise<Buffer> {
    const length = Math.max(0, Math.min(limit, this.#bytes - offset));
    if (this.#file === undefined) return Buffer.concat(this.#memory).subarray(offset, offset + length);
    const { buffer, bytesRead } = await this.#file.read(Buffer.alloc(length), 0, length, offset);
    return buffer.subarray(0, bytesRead);
  }

  async close(): Promise<void> {
    await this.#file?.close();
    this.#file = undefined;
  }
}
