import { KernelboxError } from "../errors.ts";
import { LIMITS } from "../limits.ts";
import type { Frame } from "./frames.ts";

/** Joins messages that came in several frames. What is held for unfinished ones is bounded over all of them together. */
export class InboundMessages {
  readonly #unfinished = new Map<string, { parts: Buffer[]; bytes: number }>();
  #held = 0;

  /** The whole payload, once its last frame is here. */
  add(frame: Frame): Buffer | undefined {
    const key = `${frame.kind}:${frame.stream}`;
    const begun = this.#unfinished.get(key);
    if (!frame.more && begun === undefined) return frame.payload;
    this.#held += frame.payload.length;
    if (this.#held > LIMITS.messageBytes) {
      throw new KernelboxError(
        "sandbox_lost",
        `The sandbox sent a message of more than ${LIMITS.messageBytes} bytes.`,
        "Make a new sandbox; this one cannot be trusted any more.",
      );
    }
    const message = begun ?? { parts: [], bytes: 0 };
    message.parts.push(frame.payload);
    message.bytes += frame.payload.length;
    if (frame.more) {
      this.#unfinished.set(key, message);
      return undefined;
    }
    this.#unfinished.delete(key);
    this.#held -= message.bytes;
    return Buffer.concat(message.parts, message.bytes);
  }
}
