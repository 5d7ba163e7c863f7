import { KernelboxError } from "../errors.ts";
import { LIMITS } from "../limits.ts";
import type { Frame } from "./frames.ts";

/** What a part costs at least, so that endless empty ones are bounded too. */
const PART_BYTES = 64;

/** Joins messages that came in several frames. What is held for unfinished ones is bounded over all of them together. */
export class InboundMessages {
  readonly #unfinished = new Map<string, { parts: Buffer[]; bytes: number; held: number }>();
  #held = 0;

  /** The whole payload, once its last frame is here. */
  add(frame: Frame): Buffer | undefined {
    const key = `${frame.kind}:${frame.stream}`;
    const begun = this.#unfinished.get(key);
    if (!frame.more && begun === undefined) return frame.payload;
    const size = Math.max(frame.payload.length, PART_BYTES);
    this.#held += size;
    if (this.#held > LIMITS.messageBytes) {
      throw new KernelboxError(
        "sandbox_lost",
        `The sandbox sent a message of more than ${LIMITS.messageBytes} bytes.`,
        "Make a new sandbox; this one cannot be trusted any more.",
      );
    }
    const message = begun ?? { parts: [], bytes: 0, held: 0 };
    message.parts.push(frame.payload);
    message.bytes += frame.payload.length;
    message.held += size;
    if (frame.more) {
      this.#unfinished.set(key, message);
      return undefined;
    }
    this.#unfinished.delete(key);
    this.#held -= message.held;
    return Buffer.concat(message.parts, message.bytes);
  }
}
