import { KernelboxError } from "../errors.ts";
import type { ExecutionEvent } from "../events/event.ts";
import type { ExecutionFold } from "../events/fold.ts";
import { sandboxLossMessage } from "../events/loss-message.ts";
import type { ExecutionResult, State } from "../events/result.ts";
import { LIMITS } from "../limits.ts";
import type { EventSink, Sandbox, SandboxEnd } from "../sandboxes/sandbox.ts";
import type { ExecutionRecord } from "../store/execution-record.ts";
import type { ContextRecord } from "./context-record.ts";

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
  context: ContextRecord;
  record: ExecutionRecord;
  fold: ExecutionFold;
  timeoutMs: number;
  /** How long those before it in its context may take. */
  queueMs: number;
  /** Does what is to be done when the last event is stored, and before anybody is told; gives a notice. Must not reject. */
  onLast?: ((record: ExecutionRecord) => Promise<string | undefined>) | undefined;
}

/**
 * One execution while it runs: its events go, one after the other, into the fold and into the store, and only then are they acknowledged. So the
 * pace of our disk is the pace of the code's output, and memory stays bounded on both sides.
 */
export class Execution implements EventSink {
  readonly ids: ExecutionIds;
  readonly context: ContextRecord;
  readonly record: ExecutionRecord;
  readonly fold: ExecutionFold;
  readonly timeoutMs: number;
  readonly longestMs: number;
  /** What its sandbox answered when it was asked to run it; rejects where it would not. */
  accepted: Promise<string> = Promise.resolve("queued");
  /** Settles when the code is with its kernel, or has ended without. */
  readonly begun: Promise<void>;
  /** Settles when the last event was stored. */
  readonly ended: Promise<void>;
  /** What the last reply said of its state. */
  told: State | undefined;
  readonly #sandbox: Sandbox;
  readonly #onLast: ExecutionParts["onLast"];
  readonly #listeners = new Set<(text: string) => void>();
  #begin!: () => void;
  #settle!: () => void;
  #work: Promise<void> = Promise.resolve();
  #waitingBytes = 0;
  #unacknowledged = { events: 0, bytes: 0 };
  #watchdog: NodeJS.Timeout | undefined;
  #isEnded = false;
  #isPartLeftOut = false;

  constructor(ids: ExecutionIds, parts: ExecutionParts) {
    this.ids = ids;
    this.context = parts.context;
    this.record = parts.record;
    this.fold = parts.fold;
    this.timeoutMs = parts.timeoutMs;
    this.longestMs = parts.timeoutMs + LIMITS.executionSlackMs;
    this.#sandbox = parts.sandbox;
    this.#onLast = parts.onLast;
    this.begun = new Promise((resolve) => {
      this.#begin = resolve;
    });
    this.ended = new Promise((resolve) => {
      this.#settle = resolve;
    });
    this.record.result = () => this.result();
    this.#watch(parts.queueMs + LIMITS.contextStartMs + LIMITS.executionSlackMs);
  }

  get isEnded(): boolean {
    return this.#isEnded;
  }

  /** How many wait for its end. */
  get waiters(): number {
    return this.#listeners.size;
  }

  /** Whoever waits hears its output; the function ends that. */
  listen(onOutput?: (text: string) => void): () => void {
    const listener = (text: string) => onOutput?.(text);
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** A refusal is for those who ask, and for nobody where none does. */
  accept(accepted: Promise<string>): void {
    this.accepted = accepted;
    accepted.catch(() => {});
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
    this.#enqueue(async () => {
      if (this.fold.isEnded) return;
      // The supervisor keeps a bounded number of ended executions for a server that was away.
      const isForgotten = this.#sandbox.end === undefined;
      this.fold.end("died", end.reason, isForgotten ? FORGOTTEN : sandboxLossMessage(end.message));
      await this.record.append(this.#lastWord(end));
      await this.#last();
    });
  }

  /** What it said until now, and what of that the full copy lacks. */
  result(): ExecutionResult {
    const result = this.fold.result();
    return { ...result, notices: [...result.notices, ...this.record.notices()] };
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
    if (isLast) await this.#last();
    else if (event.type === "status") {
      this.#watch(this.longestMs);
      this.#begin();
    }
    this.#acknowledge(event.seq, bytes, isLast);
  }

  async #keep(event: ExecutionEvent): Promise<void> {
    const output = this.fold.add(event);
    const whole = this.fold.takeWhole();
    await this.record.dropOutputsBefore(this.fold.firstOutput);
    for (const kept of [output, whole]) if (kept !== undefined) await this.record.putOutput(kept.n, kept.mime, event.seq);
    // A result that is text alone is stored as an output where a reply shows only a part of it.
    const result = event.type === "execute_result" ? whole : undefined;
    await this.record.append(this.#numbered(event), (output ?? result)?.n);
    // What is late (a thread's output after the end) still belongs into the full copy, but nobody waits for it.
    if (event.type === "stream" && !this.#isEnded) for (const listener of this.#listeners) listener(event.data.text);
  }

  /** With the incarnation that callers know. */
  #numbered(event: ExecutionEvent): ExecutionEvent {
    if (event.type !== "status") return event;
    return { ...event, data: { ...event.data, incarnation: event.data.incarnation + this.fold.incarnationOffset } } as ExecutionEvent;
  }

  /** The event that nobody is there to send. */
  #lastWord(end: SandboxEnd): ExecutionEvent {
    const { state, startedAt, durationMs } = this.fold.result();
    return {
      execution_id: this.ids.executionId,
      context_id: this.ids.contextId,
      seq: this.record.lastEvent + 1,
      timestamp: end.at.toISOString(),
      type: "status",
      data: {
        state: "died",
        incarnation: state.incarnation,
        duration_ms: durationMs,
        started_at: startedAt ?? end.at.toISOString(),
        variables: "lost",
        reason: end.reason,
        notices: [],
      },
    };
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
    this.record.end({ status: "cancelled", variables: "kept" });
    this.#begin();
    this.#settle();
  }

  async #last(): Promise<void> {
    if (this.#isEnded) return;
    const notice = await this.#onLast?.(this.record);
    if (notice !== undefined) this.fold.note(notice);
    this.#finish();
  }

  #finish(): void {
    if (this.#isEnded) return;
    clearTimeout(this.#watchdog);
    this.#isEnded = true;
    this.record.end({ status: this.fold.status, variables: this.fold.hasLostVariables ? "lost" : "kept" });
    setTimeout(() => this.#endLate(), LIMITS.lateOutputMs).unref();
    this.#begin();
    this.#settle();
  }

  /** Nothing more belongs to it: of all that it took to fold its events only the result stays. */
  #endLate(): void {
    this.#sandbox.unsubscribe(this.ids.executionId);
    this.#enqueue(() => {
      const result = this.result();
      this.record.result = () => result;
    });
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
