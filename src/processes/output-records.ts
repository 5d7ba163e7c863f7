import { KernelboxError } from "../errors.ts";
import { LIMITS } from "../limits.ts";

export type StreamName = "stdout" | "stderr";

/** Number of the stream, offset of the bytes, how many they are (docs/channel-protocol.md, `process.follow`). */
const HEAD_BYTES = 13;
const STREAMS: Partial<Record<number, StreamName>> = { 1: "stdout", 2: "stderr" };

export interface OutputPiece {
  stream: StreamName;
  offset: number;
  bytes: Buffer;
}

/** Cuts what a sandbox sends of a process's output into its pieces. Throws `sandbox_lost` where that is none. */
export class OutputRecords {
  #rest: Buffer = Buffer.alloc(0);

  push(chunk: Buffer): OutputPiece[] {
    const all = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const pieces: OutputPiece[] = [];
    let at = 0;
    while (all.length - at >= HEAD_BYTES) {
      const stream = STREAMS[all.readUInt8(at)];
      const offset = Number(all.readBigUInt64BE(at + 1));
      const size = all.readUInt32BE(at + 9);
      if (stream === undefined || !Number.isSafeInteger(offset) || size === 0 || size > LIMITS.frameBytes) throw breach();
      if (all.length - at - HEAD_BYTES < size) break;
      at += HEAD_BYTES;
      pieces.push({ stream, offset, bytes: all.subarray(at, at + size) });
      at += size;
    }
    this.#rest = all.subarray(at);
    return pieces;
  }
}

function breach(): KernelboxError {
  return new KernelboxError("sandbox_lost", "The sandbox sent output that is none.", "Make a new sandbox.");
}
