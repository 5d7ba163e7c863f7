import { KernelboxError } from "../errors.ts";
import type { ExecutionEvent } from "../events/event.ts";
import { type ExecutionFold, lossMessage } from "../events/fold.ts";
import type { ExecutionResult } from "../events/result.ts";
import { LIMITS } from "../limits.ts";
import type { EventSink, Sandbox, SandboxEnd } from "../sandboxes/sandbox.ts";
import type { ExecutionRecord } from "../store/execution-records.ts";

/** Acknowledge at the latest after so much, so that the supervisor goes on reading the kernel's output. */
const ACK_EVENTS = 256;
const ACK_BYTES = 1 * 1024 * 1024;

export interface ExecutionIds {
  executionId: string;
  contextId: string;
  sandboxId: string;
  language: string;
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
  readonly #sandbox: Sandbox;
  readonly #record: ExecutionRecord;
  readonly #timeoutMs: number;
  readonly #onOutput: ((text: string) => void) | undefined;
  #settle!: () => void;
  #work: Promise<void> = Promise.resolve();
  #unacknowledged = { events: 0, bytes: 0 };
  #watchdog: NodeJS.Timeout | undefined;

  constructor(
    ids: ExecutionIds,
    parts: {
      sandbox: Sandbox;
      record: ExecutionRecord;
      fold: ExecutionFold;
      timeoutMs: number;
      onOutput?: ((text: string) => void) | undefined;
    },
  ) {
    this.ids = ids;
    this.#sandbox = parts.sandbox;
    this.#record = parts.record;
    this.fold = parts.fold;
    this.#timeoutMs = parts.timeoutMs;
    this.#onOutput = parts.onOutput;
    this.ended = new Promise((resolve) => {
      this.#settle = resolve;
    });
  }

  event(event: ExecutionEvent): void {
    this.#work = this.#work.then(() => this.#take(event));
  }

  lost(end: SandboxEnd): void {
    this.#work = this.#work.then(() => {
      if (this.fold.isEnded) return;
      this.fold.end("died", "sandbox_lost", lossMessage("sandbox_lost"));
      this.fold.note(`The sandbox ended: ${end.message}.`);
      this.#finish();
    });
  }

  result(): ExecutionResult {
    return this.fold.result();
  }

  async #take(event: ExecutionEvent): Promise<void> {
    // What is late (a thread's output after the end) still belongs into the full copy.
    const output = this.fold.add(event);
    const whole = this.fold.takeWhole();
    try {
      if (event.type === "stream") {
        await this.#record[event.data.name].append(event.data.text);
        this.#onOutput?.(event.data.text);
      }
      for (const kept of [output, whole]) if (kept !== undefined) await this.#record.putOutput(kept.n, kept.mime);
    } catch (cause) {
      // A full disk of ours must not cost the reply.
      this.fold.note(`The full copy of this output could not be kept: ${cause instanceof Error ? cause.message : "unknown"}.`);
    }
    if (event.type === "status") event.data.state === "running" ? this.#watch() : this.#finish();
    this.#acknowledge(event, event.type === "status" && event.data.state !== "running");
  }

  #acknowledge(event: ExecutionEvent, isLast: boolean): void {
    this.#unacknowledged.events++;
    this.#unacknowledged.bytes += eventBytes(event);
    if (!isLast && this.#unacknowledged.events < ACK_EVENTS && this.#unacknowledged.bytes < ACK_BYTES) return;
    this.#unacknowledged = { events: 0, bytes: 0 };
    this.#sandbox.acknowledge(this.ids.executionId, event.seq);
  }

  /** The supervisor keeps the timeout itself; this is for a supervisor that lies or hangs. */
  #watch(): void {
    this.#watchdog = setTimeout(() => {
      this.#sandbox.markEnded("sandbox_lost", "its supervisor did not end an execution in time");
    }, this.#timeoutMs + LIMITS.executionSlackMs);
    this.#watchdog.unref();
  }

  #finish(): void {
    clearTimeout(this.#watchdog);
    this.#settle();
  }
}

function eventBytes(event: ExecutionEvent): number {
  if (event.type === "stream") return event.data.text.length;
  if (!("mime" in event.data)) return 100;
  let bytes = 100;
  for (const value of event.data.mime.values()) {
    if ("bytes" in value) bytes += value.bytes.length;
    else if ("text" in value) bytes += value.text.length;
  }
  return bytes;
}

/** What a caller is told of an execution that is not known (any more), or not theirs. */
export function unknownExecution(): KernelboxError {
  return new KernelboxError(
    "not_found",
    "There is no execution with this id.",
    `Only the last ${LIMITS.executionsKept} executions are kept; use an execution_id from a reply.`,
  );
}
