import type { BigIntStats } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { KernelboxError } from "../../errors.ts";
import { LIMITS } from "../../limits.ts";
import { hostError } from "./host-folder.ts";

/** A regular file of the host, open for reading. */
export class HostFile {
  readonly name: string;
  readonly sizeBytes: number;
  readonly #handle: FileHandle;
  readonly #opened: BigIntStats;

  constructor(name: string, handle: FileHandle, opened: BigIntStats) {
    this.name = name;
    this.sizeBytes = Number(opened.size);
    this.#handle = handle;
    this.#opened = opened;
  }

  get modifiedAt(): Date {
    return this.#opened.mtime;
  }

  /** What it held when it was opened; throws `busy` behind the last byte where that has changed meanwhile. What was appended is left out. */
  async *bytes(): AsyncGenerator<Buffer> {
    try {
      for (let at = 0; at < this.sizeBytes; ) {
        const piece = Buffer.allocUnsafe(Math.min(LIMITS.hostReadBytes, this.sizeBytes - at));
        const { bytesRead } = await this.#handle.read(piece, 0, piece.length, at);
        if (bytesRead === 0) throw changed();
        at += bytesRead;
        yield piece.subarray(0, bytesRead);
      }
      const now = await this.#handle.stat({ bigint: true });
      const isRewritten = now.size === this.#opened.size && now.mtimeNs !== this.#opened.mtimeNs;
      if (now.size < this.#opened.size || isRewritten) throw changed();
    } catch (error) {
      throw hostError(error);
    }
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}

function changed(): KernelboxError {
  return new KernelboxError("busy", "The local file was changed while it was read; nothing was written.", "Try again when it is finished.");
}
