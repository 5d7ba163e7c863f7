import { KernelboxError } from "../errors.ts";
import { LIMITS } from "../limits.ts";

export interface CallOptions {
  signal?: AbortSignal | undefined;
  /** Default LIMITS.requestMs. */
  deadlineMs?: number | undefined;
  /** In place of the deadline, for a transfer, whose length nobody knows: how long no byte of it may move, in either direction. */
  stallMs?: number | undefined;
  /** Bytes to send behind the request. They are not copied, so nobody may write to a chunk any more that was handed over. */
  body?: Iterable<Uint8Array> | AsyncIterable<Uint8Array> | undefined;
  /** Takes the bytes that come before the response. While its promise is pending no more credit is given. */
  onData?: ((chunk: Buffer) => void | Promise<void>) | undefined;
}

interface Wire {
  sendCredit: (bytes: number) => void;
  sendAbort: () => void;
}

/** More pieces than this that wait for a slow taker are joined, so that they cost no more memory than their bytes. */
const PENDING_PIECES = 256;

/** A request that waits for its response: deadline, cancellation, and credit in both directions. */
export class OpenRequest {
  readonly response: Promise<Buffer>;
  readonly #wire: Wire;
  readonly #onData: CallOptions["onData"];
  readonly #signal: AbortSignal | undefined;
  readonly #timer: NodeJS.Timeout;
  readonly #isTransfer: boolean;
  #settle!: { resolve: (payload: Buffer) => void; reject: (error: KernelboxError) => void };
  #settled = false;
  #mayReceive: number = LIMITS.receiveCreditBytes;
  #consumed = 0;
  #pending: Buffer[] = [];
  #isDelivering = false;
  #answer: Buffer | undefined;
  #maySend: number = LIMITS.sendCreditBytes;
  #creditWaiter: (() => void) | undefined;

  constructor(call: CallOptions, wire: Wire) {
    this.#wire = wire;
    this.#onData = call.onData;
    this.#signal = call.signal;
    this.response = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    // A request may fail while its body is still being sent, when nobody waits for the response yet.
    this.response.catch(() => {});
    this.#isTransfer = call.stallMs !== undefined;
    const deadlineMs = call.stallMs ?? call.deadlineMs ?? LIMITS.requestMs;
    this.#timer = setTimeout(() => this.#giveUp(this.#isTransfer ? stalled(deadlineMs) : late(deadlineMs)), deadlineMs);
    this.#signal?.addEventListener("abort", this.#onAbort, { once: true });
  }

  answer(payload: Buffer): void {
    this.#answer = payload;
    if (!this.#isDelivering) this.#deliver();
  }

  fail(error: KernelboxError): void {
    this.#end(() => this.#settle.reject(error));
  }

  /** Takes bytes from the sandbox; more than the credit that was given is a breach. */
  receive(chunk: Buffer): void {
    if (this.#settled) return;
    this.#mayReceive -= chunk.length;
    if (this.#mayReceive < 0 || this.#onData === undefined) {
      this.#giveUp(new KernelboxError("sandbox_lost", "The sandbox sent bytes that were not asked for.", "Make a new sandbox."));
      return;
    }
    this.#moved();
    this.#pending.push(chunk);
    if (!this.#isDelivering) this.#deliver();
    else if (this.#pending.length > PENDING_PIECES) this.#pending = [Buffer.concat(this.#pending)];
  }

  /** Hands on what is there, in order, one piece at a time; then the response, which stands behind the data on the wire as well. */
  #deliver(): void {
    try {
      while (!this.#settled) {
        const chunk = this.#pending.shift();
        if (chunk === undefined) break;
        const taken = this.#onData?.(chunk);
        if (taken instanceof Promise) {
          this.#isDelivering = true;
          taken.then(
            () => {
              this.#isDelivering = false;
              this.#consume(chunk.length);
              this.#deliver();
            },
            (error) => this.#giveUp(KernelboxError.from(error)),
          );
          return;
        }
        this.#consume(chunk.length);
      }
    } catch (error) {
      this.#giveUp(KernelboxError.from(error));
    }
    const answer = this.#answer;
    if (answer !== undefined) this.#end(() => this.#settle.resolve(answer));
  }

  #consume(bytes: number): void {
    if (this.#settled) return;
    this.#moved();
    this.#consumed += bytes;
    if (this.#consumed < LIMITS.receiveCreditBytes / 2) return;
    this.#mayReceive += this.#consumed;
    this.#wire.sendCredit(this.#consumed);
    this.#consumed = 0;
  }

  addCredit(bytes: number): void {
    this.#moved();
    this.#maySend += bytes;
    this.#creditWaiter?.();
  }

  /** How many of the wanted bytes may be sent now, at least one; waits for credit. 0 when the request has ended meanwhile. */
  async spendCredit(wanted: number): Promise<number> {
    while (this.#maySend <= 0 && !this.#settled) {
      await new Promise<void>((resolve) => {
        this.#creditWaiter = resolve;
      });
    }
    if (this.#settled) return 0;
    const bytes = Math.min(wanted, this.#maySend);
    this.#maySend -= bytes;
    this.#moved();
    return bytes;
  }

  /** When the caller leaves before an answer (its body threw, say), the sandbox must not wait for the rest. */
  dispose(): void {
    this.#giveUp(KernelboxError.cancelled());
  }

  /** Bytes went out, came in, or were consumed at either end. */
  #moved(): void {
    if (this.#isTransfer && !this.#settled) this.#timer.refresh();
  }

  readonly #onAbort = (): void => {
    this.#giveUp(KernelboxError.cancelled(this.#signal?.reason));
  };

  #giveUp(error: KernelboxError): void {
    this.#end(() => {
      this.#wire.sendAbort();
      this.#settle.reject(error);
    });
  }

  #end(how: () => void): void {
    if (this.#settled) return;
    this.#settled = true;
    clearTimeout(this.#timer);
    this.#signal?.removeEventListener("abort", this.#onAbort);
    how();
    this.#creditWaiter?.();
  }
}

function late(deadlineMs: number): KernelboxError {
  return new KernelboxError(
    "deadline_exceeded",
    `The sandbox did not answer within ${deadlineMs} ms.`,
    "Try again, or restart the context.",
  );
}

function stalled(stallMs: number): KernelboxError {
  return new KernelboxError("deadline_exceeded", `No byte of the transfer moved for ${stallMs} ms, so it was given up.`, "Try again.");
}
