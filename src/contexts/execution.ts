import { KernelboxError } from "../errors.ts";
import type { ExecutionEvent } from "../events/event.ts";
import type { ExecutionFold } from "../events/fold.ts";
import { sandboxLossMessage } from "../events/loss-message.ts";
import type { ExecutionResult } from "../events/result.ts";
import { LIMITS } from "../limits.ts";
import type { EventSink, Sandbox, SandboxEnd } from "../sandboxes/sandbox.ts";
import type { ExecutionRecord } from "../store/execution-record.ts";

/** Acknowledge at the latest after so much, so that the supervisor goes on reading the kernel's output. */
const ACK_EVENTS = 256;
const ACK_BYTES = 1 * 1024 * 1024;
/** What a waiting event costs here at least, however small its message was. */
const EVENT_BYTES = 1_024;

const FORGOTTEN =
  "What became of this code is not known: the connection to the sandbox broke, and the sandbox does not remember it. Look at what is there before you go on.";

export interface ExecutionIds {
  executionId: string;
  contextId: string;
  sandboxId: string;
  language: string;
}

export interface ExecutionParts {
  sandbox: Sandbox;
  record: ExecutionRecord;
  fold: ExecutionFold;
  timeoutMs: number;
  /** How long those before it in its context may take. */
  queueMs: number;
  onOutput?: ((text: string) => void) | undefined;
}

/**
 * One execution while it runs: its events go, one after the other, into the fold and into the store, and only then are they acknowledged. So the
 * pace of our disk is the pace of the code's output, and memory stays bounded on both sides.
 */
export class Execution implements EventSink {
  readonly ids: ExecutionIds;
  readonly fold: ExecutionFold;
  /** Settles when the last event was stored. */
  readonly ended: Promise<void>;
  readonly longestMs: number;
  readonly #sandbox: Sandbox;
  readonly #record: ExecutionRecord;
  readonly #onOutput: ((text: string) => void) | undefined;
  #settle!: () => void;
  #work: Promise<void> = Promise.resolve();
  #waitingBytes = 0;
  #unacknowledged = { events: 0, bytes: 0 };
  #watchdog: NodeJS.Timeout | undefined;
  #isEnded = false;
  #isPartLeftOut = false;

  constructor(ids: ExecutionIds, parts: ExecutionParts) {
    this.ids = ids;
    this.#sandbox = parts.sandbox;
    this.#record = parts.record;
    this.fold = parts.fold;
    this.longestMs = parts.timeoutMs + LIMITS.executionSlackMs;
    this.#onOutput = parts.onOutput;
    this.ended = new Promise((resolve) => {
      this.#settle = resolve;
    });
    this.#watch(parts.queueMs + LIMITS.contextStartMs + LIMITS.executionSlackMs);
  }

  event(event: ExecutionEvent, bytes: number): void {
    const cost = Math.max(bytes, EVENT_BYTES);
    this.#waitingBytes += cost;
    if (this.#waitingBytes > LIMITS.pendingEventBytes) {
      this.#sandbox.markEnded("sandbox_lost", "its supervisor sent more output than was asked for");
      return;
    }
    this.#enqueue(async () => {
      await this.#take(event, bytes);
      this.#waitingBytes -= cost;
    });
  }

  lost(end: SandboxEnd): void {
    this.#enqueue(() => {
      if (this.fold.isEnded) return;
      // The supervisor keeps a bounded number of ended executions for a server that was away.
      const isForgotten = this.#sandbox.end === undefined;
      this.fold.end("died", end.reason, isForgotten ? FORGOTTEN : sandboxLossMessage(end.message));
      this.#finish();
    });
  }

  /** What it said until now, and what of that the full copy lacks. */
  result(): ExecutionResult {
    const result = this.fold.result();
    return { ...result, notices: [...result.notices, ...this.#record.notices()] };
  }

  /** Never rejects: nobody waits for this chain, and what comes behind a failure must be taken all the same. */
  #enqueue(job: () => void | Promise<void>): void {
    this.#work = this.#work.then(job).catch(() => this.#noteLeftOut());
  }

  async #take(event: ExecutionEvent, bytes: number): Promise<void> {
    try {
      await this.#keep(event);
    } catch {
      this.#noteLeftOut();
    }
    const isLast = event.type === "status" && event.data.state !== "running";
    if (isLast) this.#finish();
    else if (event.type === "status") this.#watch(this.longestMs);
    this.#acknowledge(event.seq, bytes, isLast);
  }

  async #keep(event: ExecutionEvent): Promise<void> {
    const output = this.fold.add(event);
    const whole = this.fold.takeWhole();
    if (event.type === "stream") {
      // What is late (a thread's output after the end) still belongs into the full copy, but the reply has been given.
      await this.#record.appendText(event.data.name, event.data.text);
      if (!this.#isEnded) this.#onOutput?.(event.data.text);
    }
    await this.#record.dropOutputsBefore(this.fold.firstOutput);
    for (const kept of [output, whole]) if (kept !== undefined) await this.#record.putOutput(kept.n, kept.mime);
  }

  #noteLeftOut(): void {
    if (!this.#isPartLeftOut) this.fold.note("A part of what the code said could not be understood and is left out.");
    this.#isPartLeftOut = true;
  }

  #acknowledge(seq: number, bytes: number, isLast: boolean): void {
    this.#unacknowledged.events++;
    this.#unacknowledged.bytes += bytes;
    if (!isLast && this.#unacknowledged.events < ACK_EVENTS && this.#unacknowledged.bytes < ACK_BYTES) return;
    this.#unacknowledged = { events: 0, bytes: 0 };
    this.#sandbox.acknowledge(this.ids.executionId, seq);
  }

  /** The supervisor keeps the timeout itself; this is for a supervisor that lies or hangs. */
  #watch(withinMs: number): void {
    clearTimeout(this.#watchdog);
    if (this.#isEnded) return;
    this.#watchdog = setTimeout(() => {
      this.#sandbox.markEnded("sandbox_lost", "its supervisor did not begin or end an execution in time");
    }, withinMs);
    this.#watchdog.unref();
  }

  /** Lets go of an execution that never was: its request was refused. */
  giveUp(): void {
    clearTimeout(this.#watchdog);
    this.#isEnded = true;
    this.#sandbox.unsubscribe(this.ids.executionId);
    this.#record.end({ status: "cancelled", variables: "kept" });
  }

  #finish(): void {
    if (this.#isEnded) return;
    clearTimeout(this.#watchdog);
    this.#isEnded = true;
    this.#record.end({ status: this.fold.result().status, variables: this.fold.hasLostVariables ? "lost" : "kept" });
    setTimeout(() => this.#sandbox.unsubscribe(this.ids.executionId), LIMITS.lateOutputMs).unref();
    this.#settle();
  }
}

/** What a caller is told of an execution that is not known (any more), or not theirs. */
export function unknownExecution(): KernelboxError {
  return new KernelboxError(
    "not_found",
    "There is no execution with this id.",
    `Only the last ${LIMITS.executionsKept} executions are kept; use an execution_id from a reply.`,
  );
}
