import type * as z from "zod";
import { Channel } from "../channel/channel.ts";
import type { CallOptions } from "../channel/open-request.ts";
import type { Engine } from "../engines/engine.ts";
import { KernelboxError } from "../errors.ts";
import type { ExecutionEvent, LossReason } from "../events/event.ts";
import { LIMITS } from "../limits.ts";
import type { Log } from "../log.ts";
import { eventsSchema } from "./supervisor-schemas.ts";

export interface SandboxIdentity {
  sandboxId: string;
  principal: string;
  containerId: string;
  languages: string[];
}

export interface SandboxEnd {
  reason: Extract<LossReason, "sandbox_lost" | "sandbox_expired" | "out_of_memory">;
  at: Date;
  /** Our own words: what ended it. */
  message: string;
}

/** Takes the events of one execution, in order and each once; `lost` comes when there will be no more. */
export interface EventSink {
  event: (event: ExecutionEvent) => void;
  lost: (end: SandboxEnd) => void;
}

/**
 * One container and the channel to its supervisor. When the channel breaks while the container runs, it attaches again with the next epoch and
 * asks for the events that were missed, so that a broken stream costs nobody an execution.
 */
export class Sandbox {
  readonly sandboxId: string;
  readonly principal: string;
  readonly containerId: string;
  readonly languages: string[];
  readonly createdAt = new Date();
  readonly #engine: Engine;
  readonly #log: Log;
  readonly #leaseSeconds: number;
  readonly #sinks = new Map<string, { sink: EventSink; lastSeq: number }>();
  readonly #onEnd: (sandbox: Sandbox) => void;
  #channel!: Channel;
  #epoch = 0;
  #reattaching: Promise<void> | undefined;
  #end: SandboxEnd | undefined;

  constructor(
    identity: SandboxIdentity,
    dependencies: { engine: Engine; log: Log; leaseSeconds: number; onEnd: (sandbox: Sandbox) => void },
  ) {
    this.sandboxId = identity.sandboxId;
    this.principal = identity.principal;
    this.containerId = identity.containerId;
    this.languages = identity.languages;
    this.#engine = dependencies.engine;
    this.#leaseSeconds = dependencies.leaseSeconds;
    this.#onEnd = dependencies.onEnd;
    this.#log = dependencies.log.child({ sandbox_id: identity.sandboxId });
  }

  get end(): SandboxEnd | undefined {
    return this.#end;
  }

  /** Opens the channel over the stream that `create` gave, or over a new one. */
  async attach(stream?: Parameters<typeof Channel.open>[0]): Promise<void> {
    const duplex = stream ?? (await this.#engine.attach(this.containerId));
    const channel = await Channel.open(duplex, {
      epoch: ++this.#epoch,
      leaseSeconds: this.#leaseSeconds,
      log: this.#log,
      onEvent: (event) => this.#route(event),
    });
    if (this.#end !== undefined) {
      channel.close();
      throw this.lostError();
    }
    this.#channel = channel;
    void channel.ended.then((reason) => this.#onChannelEnd(channel, reason));
  }

  /** A request to the supervisor; waits for the channel to be attached again where it just broke. */
  async request<T>(method: string, params: Record<string, unknown>, schema: z.ZodType<T>, call: CallOptions = {}): Promise<T> {
    await this.#reattaching;
    if (this.#end !== undefined) throw this.lostError();
    return await this.#channel.request(method, params, schema, call);
  }

  /** From now on the events of this execution go to the sink. */
  subscribe(executionId: string, sink: EventSink): void {
    if (this.#end !== undefined) sink.lost(this.#end);
    else this.#sinks.set(executionId, { sink, lastSeq: 0 });
  }

  unsubscribe(executionId: string): void {
    this.#sinks.delete(executionId);
  }

  /** Events up to this one are safe here and need not be kept there. */
  acknowledge(executionId: string, seq: number): void {
    if (this.#end === undefined) this.#channel.notify("execution.ack", { execution_id: executionId, seq });
  }

  /** Says that the container is gone or about to be. Everybody who waits is told once. */
  markEnded(reason: SandboxEnd["reason"], message: string): void {
    if (this.#end !== undefined) return;
    this.#end = { reason, at: new Date(), message };
    this.#channel?.close();
    for (const { sink } of this.#sinks.values()) sink.lost(this.#end);
    this.#sinks.clear();
    this.#onEnd(this);
  }

  lostError(): KernelboxError {
    const end = this.#end;
    const code = end?.reason === "sandbox_expired" ? "sandbox_expired" : "sandbox_lost";
    return new KernelboxError(
      code,
      `Sandbox ${this.sandboxId} has ended: ${end?.message ?? "unknown"}. Its variables and files are gone.`,
      "Call execute_code without ids to get a new sandbox, then make again what you need.",
      { details: { sandbox_id: this.sandboxId, reason: end?.reason, ended_at: end?.at.toISOString() } },
    );
  }

  #route(event: ExecutionEvent): void {
    const subscription = this.#sinks.get(event.execution_id);
    if (subscription === undefined || event.seq <= subscription.lastSeq) return;
    subscription.lastSeq = event.seq;
    subscription.sink.event(event);
  }

  #onChannelEnd(channel: Channel, reason: KernelboxError): void {
    if (this.#end !== undefined || channel !== this.#channel) return;
    this.#log.warn({ reason: reason.message }, "the channel broke; attaching again");
    this.#reattaching = this.#reattach()
      .catch((error) => {
        this.#log.error({ err: error }, "the sandbox could not be reached again");
        this.markEnded("sandbox_lost", "it could not be reached any more");
      })
      .finally(() => {
        this.#reattaching = undefined;
      });
  }

  async #reattach(): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        await this.attach();
        break;
      } catch (error) {
        const isGone = KernelboxError.from(error).code === "not_found";
        if (isGone || attempt >= LIMITS.reattachTries || this.#end !== undefined) throw error;
        await new Promise((resolve) => setTimeout(resolve, 200 * attempt));
      }
    }
    for (const [executionId, { lastSeq, sink }] of this.#sinks) {
      const params = { execution_id: executionId, after: lastSeq };
      await this.#channel.request("execution.events", params, eventsSchema).catch((error) => {
        if (KernelboxError.from(error).code !== "not_found") throw error;
        this.#sinks.delete(executionId);
        sink.lost({ reason: "sandbox_lost", at: new Date(), message: "the sandbox does not know the execution any more" });
      });
    }
  }
}
