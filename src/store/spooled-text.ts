import { constants, type FileHandle, open } from "node:fs/promises";

const MEMORY_BYTES = 32 * 1024;

/** What a text takes from and gives back to the record that it is part of. */
export interface Budget {
  /** How many of the wanted bytes there is room for. */
  take: (wanted: number) => number;
  giveBack: (bytes: number) => void;
}

/**
 * A text's full copy: its end in memory, and in a file what is more than a little. Cut at a bound, with what lies behind it counted. The file is
 * opened for each use, since hundreds of texts are kept and open files are few.
 */
export class SpooledText {
  readonly #path: string;
  readonly #makeDir: () => Promise<unknown>;
  readonly #budget: Budget;
  #memory: Buffer[] = [];
  #memoryBytes = 0;
  #fileBytes = 0;
  #droppedBytes = 0;
  #failure: unknown;

  constructor(path: string, makeDir: () => Promise<unknown>, budget: Budget) {
    this.#path = path;
    this.#makeDir = makeDir;
    this.#budget = budget;
  }

  get bytes(): number {
    return this.#fileBytes + this.#memoryBytes;
  }

  /** Bytes that came and are not kept. */
  get droppedBytes(): number {
    return this.#droppedBytes;
  }

  /** What the disk answered when bytes were lost to it. */
  get failure(): unknown {
    return this.#failure;
  }

  /** Calls must not overlap. Never rejects: what cannot be kept is counted, and nothing behind a hole is kept. */
  async append(text: string | Buffer): Promise<void> {
    const bytes = typeof text === "string" ? Buffer.from(text) : text;
    const taken = this.#droppedBytes > 0 ? 0 : this.#budget.take(bytes.length);
    this.#droppedBytes += bytes.length - taken;
    if (taken === 0) return;
    this.#memory.push(bytes.subarray(0, taken));
    this.#memoryBytes += taken;
    if (this.#memoryBytes > MEMORY_BYTES) await this.#flush();
  }

  /** At most `limit` bytes from `offset`. */
  async read(offset: number, limit: number): Promise<Buffer> {
    const memory = Buffer.concat(this.#memory);
    const fileBytes = this.#fileBytes;
    const end = Math.min(offset + limit, fileBytes + memory.length);
    if (offset >= end) return Buffer.alloc(0);
    const fromMemory = memory.subarray(Math.max(0, offset - fileBytes), Math.max(0, end - fileBytes));
    if (offset >= fileBytes) return fromMemory;
    const fromFile = Buffer.alloc(Math.min(end, fileBytes) - offset);
    const reading = this.#withFile(constants.O_RDONLY, (file) => file.read(fromFile, 0, fromFile.length, offset));
    // It may have been removed to make room for others.
    const { bytesRead } = await reading.catch(() => ({ bytesRead: 0 }));
    return bytesRead < fromFile.length ? fromFile.subarray(0, bytesRead) : Buffer.concat([fromFile, fromMemory]);
  }

  async #flush(): Promise<void> {
    const pending = Buffer.concat(this.#memory);
    try {
      await this.#makeDir();
      // At its place, not at the end: a write that failed may have left a part of itself.
      await this.#withFile(constants.O_WRONLY | constants.O_CREAT, async (file) => {
        for (let at = 0; at < pending.length; )
          at += (await file.write(pending, at, pending.length - at, this.#fileBytes + at)).bytesWritten;
      });
      this.#fileBytes += pending.length;
    } catch (cause) {
      this.#failure = cause;
      this.#droppedBytes += pending.length;
      this.#budget.giveBack(pending.length);
    }
    this.#memory = [];
    this.#memoryBytes = 0;
  }

  async #withFile<T>(flags: number, use: (file: FileHandle) => Promise<T>): Promise<T> {
    const file = await open(this.#path, flags, 0o600);
    try {
      return await use(file);
    } finally {
      await file.close();
    }
  }
}
