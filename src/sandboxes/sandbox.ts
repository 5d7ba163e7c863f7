import { setTimeout as sleep } from "node:timers/promises";
import type * as z from "zod";
import { Channel } from "../channel/channel.ts";
import type { CallOptions } from "../channel/open-request.ts";
import type { Engine } from "../engines/engine.ts";
import { KernelboxError } from "../errors.ts";
import type { ExecutionEvent, LossReason } from "../events/event.ts";
import { LIMITS } from "../limits.ts";
import type { Log } from "../log.ts";
import { abortable } from "./abortable.ts";
import type { Egress } from "./egress.ts";
import type { NetworkPolicy } from "./network-policy.ts";
import { eventsSchema } from "./supervisor-schemas.ts";

export type { CallOptions };

export interface SandboxIdentity {
  sandboxId: string;
  containerId: string;
  languages: string[];
  /** Its way out; none without. */
  egress?: Egress | undefined;
}

/** A context that was started ahead, and in which nothing ran yet. */
export interface PreparedContext {
  contextId: string;
  language: string;
}

export interface SandboxEnd {
  reason: Extract<LossReason, "sandbox_lost" | "sandbox_expired" | "out_of_memory">;
  at: Date;
  /** Our own words: what ended it. */
  message: string;
  /** Its container runs on, under another server. */
  isTakenOver?: boolean;
}

/** Takes the events of one execution, in order and each once; `lost` comes when there will be no more. */
export interface EventSink {
  event: (event: ExecutionEvent, bytes: number) => void;
  lost: (end: SandboxEnd) => void;
}

/**
 * One container and the channel to its supervisor. When the channel breaks while the container runs, it attaches again with the next epoch and
 * asks for the events that were missed, so that a broken stream costs nobody an execution.
 */
export class Sandbox {
  readonly sandboxId: string;
  readonly containerId: string;
  readonly languages: string[];
  readonly egress: Egress | undefined;
  readonly createdAt = new Date();
  readonly #engine: Engine;
  readonly #log: Log;
  readonly #leaseSeconds: number;
  readonly #subscriptions = new Map<string, { sink: EventSink; lastSeq: number; acknowledged: number; isOver: boolean }>();
  readonly #onEnd: (sandbox: Sandbox) => void;
  #channel!: Channel;
  #epoch = 0;
  #reattaching: Promise<void> | undefined;
  #end: SandboxEnd | undefined;
  readonly #gone = new AbortController();
  #principal: string | undefined;
  #prepared: PreparedContext | undefined;
  readonly #notes: string[] = [];
  #outOfMemoryAt = Number.NEGATIVE_INFINITY;

  constructor(
    identity: SandboxIdentity,
    dependencies: { engine: Engine; log: Log; leaseSeconds: number; onEnd: (sandbox: Sandbox) => void },
  ) {
    this.sandboxId = identity.sandboxId;
    this.containerId = identity.containerId;
    this.languages = identity.languages;
    this.egress = identity.egress;
    this.#engine = dependencies.engine;
    this.#leaseSeconds = dependencies.leaseSeconds;
    this.#onEnd = dependencies.onEnd;
    this.#log = dependencies.log.child({ sandbox_id: identity.sandboxId });
  }

  /** What it may reach. */
  get network(): NetworkPolicy {
    return this.egress?.policy ?? { mode: "none", hosts: [] };
  }

  /** Whose it is, from the claim on. */
  get principal(): string {
    if (this.#principal === undefined) throw new TypeError("A sandbox has a principal once it is claimed.");
    return this.#principal;
  }

  /** Binds it to its owner, once and for good. */
  claim(principal: string): void {
    if (this.#principal !== undefined) throw new TypeError("A sandbox is claimed once.");
    this.#principal = principal;
  }

  /** Says that this context waits in it for whoever first needs one of its language. */
  prepare(context: PreparedContext): void {
    this.#prepared = context;
  }

  /** The id of the context that was started ahead, for one caller; undefined where there is none (any more). */
  takePrepared(language: string): string | undefined {
    if (this.#prepared?.language !== language) return undefined;
    const { contextId } = this.#prepared;
    this.#prepared = undefined;
    return contextId;
  }

  /** Keeps what is wrong with it for the next execution's reply; our own words. */
  note(notice: string): void {
    if (this.#notes.length < LIMITS.sandboxNotes) this.#notes.push(notice);
  }

  /** What was noted, for one reply. */
  takeNotes(): string[] {
    return this.#notes.splice(0);
  }

  /** Whether code runs in it, or waits to. */
  get isBusy(): boolean {
    return [...this.#subscriptions.values()].some(({ isOver }) => !isOver);
  }

  get end(): SandboxEnd | undefined {
    return this.#end;
  }

  /** Aborts at its end, with what there is to say of it. */
  get gone(): AbortSignal {
    return this.#gone.signal;
  }

  /** Opens the channel over the stream that `create` gave, or over a new one. */
  async attach(stream?: Parameters<typeof Channel.open>[0]): Promise<void> {
    const duplex = stream ?? (await this.#engine.attach(this.containerId));
    const channel = await Channel.open(duplex, {
      epoch: ++this.#epoch,
      leaseSeconds: this.#leaseSeconds,
      log: this.#log,
      onEvent: (event, bytes) => this.#route(event, bytes),
    });
    if (this.#end !== undefined) {
      channel.close();
      throw this.lostError();
    }
    this.#channel = channel;
    void channel.ended.then((reason) => this.#onChannelEnd(channel, reason));
  }

  /**
   * A request to the supervisor. Where the channel breaks under it, it is repeated over the next one if that does no harm; else `busy` says that
   * nobody knows whether it was done.
   */
  async request<T>(method: string, params: Record<string, unknown>, schema: z.ZodType<T>, call: CallOptions = {}): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      const channel = await abortable(this.#attached(), call.signal);
      try {
        return await channel.request(method, params, schema, call);
      } catch (error) {
        if (error !== channel.end || this.#end !== undefined) throw this.#end === undefined ? error : this.lostError();
        if (!REPEATABLE.has(method)) throw unknownOutcome();
        if (attempt >= LIMITS.requestTries) throw error;
      }
    }
  }

  /** From now on the events of this execution go to the sink. */
  subscribe(executionId: string, sink: EventSink): void {
    if (this.#end !== undefined) sink.lost(this.#end);
    else this.#subscriptions.set(executionId, { sink, lastSeq: 0, acknowledged: 0, isOver: false });
  }

  unsubscribe(executionId: string): void {
    this.#subscriptions.delete(executionId);
  }

  /** Events up to this one are safe here and need not be kept there. */
  acknowledge(executionId: string, seq: number): void {
    const subscription = this.#subscriptions.get(executionId);
    if (subscription !== undefined) subscription.acknowledged = seq;
    if (this.#end === undefined) this.#channel.notify("execution.ack", { execution_id: executionId, seq });
  }

  /** The engine killed something in the container for its memory. That need not end the sandbox; if it does, this was why. */
  noteOutOfMemory(): void {
    this.#outOfMemoryAt = performance.now();
  }

  /** Says that the container is gone or about to be. Everybody who waits is told once. */
  markEnded(reason: SandboxEnd["reason"], message: string, isTakenOver = false): void {
    if (this.#end !== undefined) return;
    const isMemory = reason === "sandbox_lost" && !isTakenOver && performance.now() - this.#outOfMemoryAt < LIMITS.outOfMemoryMs;
    const cause = isMemory ? { reason: "out_of_memory" as const, message: `it ran out of memory: ${message}` } : { reason, message };
    this.#end = { ...cause, at: new Date(), isTakenOver };
    this.#channel?.close();
    for (const { sink } of this.#subscriptions.values()) sink.lost(this.#end);
    this.#subscriptions.clear();
    this.#gone.abort(this.lostError());
    this.#onEnd(this);
  }

  lostError(): KernelboxError {
    const end = this.#end;
    const code = end?.reason === "sandbox_expired" ? "sandbox_expired" : "sandbox_lost";
    return new KernelboxError(
      code,
      `Sandbox ${this.sandboxId} has ended: ${end?.message ?? "unknown"}. Its variables and files are ${end?.isTakenOver ? "out of reach" : "gone"}.`,
      "Call execute_code without ids to get a new sandbox, then make again what you need.",
      { details: { sandbox_id: this.sandboxId, reason: end?.reason, ended_at: end?.at.toISOString() } },
    );
  }

  #route(event: ExecutionEvent, bytes: number): void {
    const subscription = this.#subscriptions.get(event.execution_id);
    if (subscription === undefined || event.seq <= subscription.lastSeq) return;
    subscription.lastSeq = event.seq;
    subscription.isOver ||= event.type === "status" && event.data.state !== "running";
    subscription.sink.event(event, bytes);
  }

  #onChannelEnd(channel: Channel, reason: KernelboxError): void {
    if (this.#end !== undefined || channel !== this.#channel) return;
    this.#log.warn({ reason: reason.message }, "the channel broke; attaching again");
    void this.#reattach();
  }

  /** The open channel, when there is one again. */
  async #attached(): Promise<Channel> {
    while (this.#end === undefined && !this.#channel.isOpen) await this.#reattach();
    if (this.#end !== undefined) throw this.lostError();
    return this.#channel;
  }

  /** One at a time, whoever asks. Never rejects: a sandbox that cannot be reached has ended. */
  #reattach(): Promise<void> {
    this.#reattaching ??= this.#attachAgain().finally(() => {
      this.#reattaching = undefined;
    });
    return this.#reattaching;
  }

  /** Tries for as long as the supervisor's lease lets the sandbox live without us, since an engine may take that long to restart. */
  async #attachAgain(): Promise<void> {
    const giveUpAt = performance.now() + Math.min(this.#leaseSeconds * 1_000, LIMITS.reattachMs);
    for (
      let waitMs: number = LIMITS.reattachWaitMs.first;
      this.#end === undefined;
      waitMs = Math.min(2 * waitMs, LIMITS.reattachWaitMs.max)
    ) {
      if (this.#channel.isFenced) return this.markEnded("sandbox_lost", "another server has taken it over", true);
      try {
        if (!this.#channel.isOpen) await this.attach();
        await this.#resume();
        // A break behind the last answer is ours to mend, too: whoever hears of it finds us still at work.
        if (this.#channel.isOpen) return;
      } catch (thrown) {
        const error = KernelboxError.from(thrown);
        if (error.code === "not_found") {
          // The engine's events know why.
          await sleep(LIMITS.engineWordMs);
          return this.markEnded("sandbox_lost", "its container is gone");
        }
        if (performance.now() + waitMs > giveUpAt) {
          this.#log.error({ err: error }, "the sandbox could not be reached again");
          return this.markEnded("sandbox_lost", "it could not be reached any more");
        }
      }
      await sleep(waitMs);
    }
  }

  /** Asks for the events that were missed, and says again what is safe here. */
  async #resume(): Promise<void> {
    for (const [executionId, { lastSeq, acknowledged, sink }] of this.#subscriptions) {
      const params = { execution_id: executionId, after: lastSeq };
      try {
        await this.#channel.request("execution.events", params, eventsSchema);
      } catch (error) {
        if (KernelboxError.from(error).code !== "not_found") throw error;
        // One that has said nothing yet may still be about to be started, by a request that waits for us.
        if (lastSeq === 0) continue;
        this.#subscriptions.delete(executionId);
        sink.lost({ reason: "sandbox_lost", at: new Date(), message: "the sandbox does not know the execution any more" });
      }
      if (acknowledged > 0) this.acknowledge(executionId, acknowledged);
    }
  }
}

/** Requests that can be made twice: they only look, or name what they make. */
const REPEATABLE: ReadonlySet<string> = new Set([
  "context.create",
  "context.delete",
  "context.get",
  "context.inspect",
  "context.list",
  "execution.cancel",
  "execution.events",
  "execution.start",
  "file.changes",
  "file.list",
  "file.make",
  "file.search",
  "file.stat",
  "package.look",
  "port.wait",
  "process.forget",
  "process.get",
  "process.kill",
  "process.list",
  "process.start",
]);

function unknownOutcome(): KernelboxError {
  return new KernelboxError(
    "busy",
    "The connection to the sandbox broke while it worked on this; the sandbox lives, and whether it was done is not known.",
    "Look at what is there (list_directory, get_context), then call again where it is needed.",
  );
}
