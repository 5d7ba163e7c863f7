import { setTimeout as sleep } from "node:timers/promises";
import * as z from "zod";
import { KernelboxError } from "../errors.ts";
import { LIMITS } from "../limits.ts";
import type { Sandbox } from "../sandboxes/sandbox.ts";
import type { ProcessRecord } from "../store/process-records.ts";
import { OutputRecords, type StreamName } from "./output-records.ts";

/** By whom or what a process that did not end by itself was ended. */
export const ENDERS = ["timeout", "kill_process", "cancelled", "out_of_memory", "limit_exceeded", "signal", "sandbox_lost"] as const;

/** What the supervisor tells of a process; see `process.start` in docs/channel-protocol.md. */
export const processSchema = z.object({
  pid: z.number().int().nonnegative(),
  is_running: z.boolean(),
  has_left: z.boolean(),
  is_over: z.boolean(),
  exit_code: z.number().int().min(0).max(255).nullable(),
  signal: z
    .string()
    .regex(/^[A-Z0-9+]{1,20}$/)
    .nullable(),
  reason: z.enum(ENDERS).nullable().catch("signal"),
  started_at: z.string().max(40),
  ended_at: z.string().max(40).nullable(),
  stops_at: z.string().max(40).nullable(),
  duration_ms: z.number().nonnegative(),
  files: z
    .array(
      z.object({
        path: z
          .string()
          .min(1)
          .max(2 * LIMITS.pathBytes),
        change: z.enum(["created", "modified"]),
        size_bytes: z.number().int().nonnegative(),
      }),
    )
    .max(1_000),
  notices: z.array(z.string().max(1_000)).max(20),
});
export type ProcessFacts = z.infer<typeof processSchema>;

/**
 * One process while anything of it runs: its output goes into the store, and what is not stored is not asked for. So the pace of our disk is the
 * pace of the command, and memory stays bounded on both sides.
 */
export class Process {
  readonly record: ProcessRecord;
  readonly sandbox: Sandbox;
  /** Settles when the command has ended and all that it said before is stored. */
  readonly ended: Promise<void>;
  /** Settles when nothing of it runs any more. */
  readonly over: Promise<void>;
  #facts: ProcessFacts;
  #isOver = false;
  #lostBytes: Record<StreamName, number> = { stdout: 0, stderr: 0 };
  #received: Record<StreamName, number> = { stdout: 0, stderr: 0 };
  #settle!: () => void;
  readonly #listeners = new Set<(text: string) => void>();
  readonly #changes = new Set<() => void>();

  constructor(sandbox: Sandbox, record: ProcessRecord, facts: ProcessFacts, onOver: () => void) {
    this.sandbox = sandbox;
    this.record = record;
    this.#facts = facts;
    this.ended = new Promise((resolve) => {
      this.#settle = resolve;
    });
    this.over = this.#follow().finally(onOver);
  }

  get facts(): ProcessFacts {
    return this.#facts;
  }

  get isRunning(): boolean {
    return this.#facts.is_running;
  }

  /** Nothing of it runs any more, and nothing more comes. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Bytes that came and are not kept. */
  lostBytes(stream: StreamName): number {
    return this.#lostBytes[stream] + this.record[stream].droppedBytes;
  }

  /** Whoever waits hears its output; the function ends that. */
  listen(onOutput?: (text: string) => void): () => void {
    const listener = (text: string) => onOutput?.(text);
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Settles when there is more output, or another state. */
  changed(): { promise: Promise<void>; forget: () => void } {
    let resolve = () => {};
    const promise = new Promise<void>((settle) => {
      resolve = settle;
    });
    this.#changes.add(resolve);
    return { promise, forget: () => this.#changes.delete(resolve) };
  }

  /** Never rejects: a process that cannot be followed is lost, and that is told. */
  async #follow(): Promise<void> {
    for (let failures = 0; !this.#isOver; ) {
      try {
        await this.#ask();
        failures = 0;
      } catch (thrown) {
        const { code } = KernelboxError.from(thrown);
        const isLost = this.sandbox.end !== undefined || code === "not_found" || code === "sandbox_lost";
        if (isLost || ++failures >= LIMITS.processFollowTries) this.#lose();
        // A request that broke with its channel is made again from where it was.
        else await sleep(LIMITS.reattachWaitMs.first, undefined, { ref: false });
      }
    }
    if (this.sandbox.end === undefined) {
      await this.sandbox.request("process.forget", { process_id: this.record.processId }, z.object({})).catch(() => {});
    }
  }

  async #ask(): Promise<void> {
    const params = {
      process_id: this.record.processId,
      ...this.#received,
      wait_s: LIMITS.processFollowSeconds,
      until_end: this.#facts.is_running,
    };
    const pieces = new OutputRecords();
    const facts = await this.sandbox.request("process.follow", params, processSchema, {
      stallMs: LIMITS.transferStallMs,
      onData: async (chunk) => {
        for (const { stream, offset, bytes } of pieces.push(chunk)) await this.#take(stream, offset, bytes);
      },
    });
    this.#tell(facts);
  }

  async #take(stream: StreamName, offset: number, bytes: Buffer): Promise<void> {
    // What was kept there while we were away was not all.
    this.#lostBytes[stream] += Math.max(0, offset - this.#received[stream]);
    this.#received[stream] = Math.max(this.#received[stream], offset + bytes.length);
    await this.record[stream].append(Buffer.from(bytes));
    if (this.#listeners.size > 0) {
      const text = bytes.toString();
      for (const listener of this.#listeners) listener(text);
    }
    this.#change();
  }

  #tell(facts: ProcessFacts): void {
    this.#facts = facts;
    this.#isOver = facts.is_over;
    if (!facts.is_running) this.#settle();
    this.#change();
  }

  #lose(): void {
    const { started_at, is_running } = this.#facts;
    this.#isOver = true;
    if (is_running) {
      const ended = {
        is_running: false,
        has_left: false,
        ended_at: new Date().toISOString(),
        reason: "sandbox_lost",
        duration_ms: since(started_at),
      } as const;
      this.#facts = { ...this.#facts, ...ended };
    }
    this.#settle();
    this.#change();
  }

  #change(): void {
    const changes = [...this.#changes];
    this.#changes.clear();
    for (const resolve of changes) resolve();
  }
}

function since(at: string): number {
  const ms = Date.now() - Date.parse(at);
  return Number.isFinite(ms) ? Math.max(0, ms) : 0;
}
