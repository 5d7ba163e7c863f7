import type { IncomingMessage } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import type Docker from "dockerode";
import { LIMITS } from "../../limits.ts";
import type { Log } from "../../log.ts";
import type { ContainerEvent, ContainerSummary } from "../engine.ts";
import { answered } from "./errors.ts";
import { type EngineEvent, nextMoment, parseEventLine } from "./event-line.ts";
import { OWNER_LABEL } from "./list.ts";

export interface WatchSource {
  docker: () => Promise<Docker>;
  list: () => Promise<ContainerSummary[]>;
  /** Containers that this engine object has started and not destroyed: also those that ended before the stream was open. */
  started: () => Iterable<string>;
}

/**
 * Follows the engine's events. A stream that breaks is opened again from the moment of the last event, so that the engine replays what was missed. It
 * remembers only its latest events, and none over a restart of its own; so the list of containers has the last word on who is gone.
 */
export class Watcher {
  readonly #source: WatchSource;
  readonly #onEvent: (event: ContainerEvent) => void;
  readonly #signal: AbortSignal;
  readonly #log: Log;
  readonly #running = new Set<string>();
  readonly #ended = new Set<string>();
  /** By the engine's clock, which may be another than ours. */
  #since: string | undefined;

  constructor(source: WatchSource, onEvent: (event: ContainerEvent) => void, signal: AbortSignal, log: Log) {
    this.#source = source;
    this.#onEvent = onEvent;
    this.#signal = signal;
    this.#log = log;
  }

  async run(): Promise<void> {
    let retryMs: number = LIMITS.eventRetryMs.first;
    while (!this.#signal.aborted) {
      try {
        const stream = await this.#open();
        retryMs = LIMITS.eventRetryMs.first;
        await Promise.all([this.#read(stream), this.#compare().catch((error) => stream.destroy(error))]);
      } catch (error) {
        if (!this.#signal.aborted) this.#log.debug({ err: error }, "the engine's event stream broke; it is opened again");
      }
      await sleep(retryMs, undefined, { signal: this.#signal, ref: false }).catch(() => {});
      retryMs = Math.min(retryMs * 2, LIMITS.eventRetryMs.max);
    }
  }

  async #open(): Promise<IncomingMessage> {
    const docker = await this.#source.docker();
    const filters = JSON.stringify({ type: ["container"], event: ["start", "die", "oom"], label: [OWNER_LABEL] });
    const query = this.#since === undefined ? { filters } : { filters, since: this.#since };
    const stream = (await answered("watching events", (abortSignal) =>
      docker.getEvents({ ...query, abortSignal } as object),
    )) as IncomingMessage;
    const close = () => stream.destroy();
    this.#signal.addEventListener("abort", close, { once: true });
    stream.once("close", () => this.#signal.removeEventListener("abort", close));
    if (this.#signal.aborted) close();
    // An engine on another host may vanish without a word, and a quiet stream would never find out.
    stream.socket.setKeepAlive(true, LIMITS.eventKeepAliveMs);
    // Until the first event, a gap begins at the engine's own time of now.
    const now = Date.parse(stream.headers.date ?? "");
    if (this.#since === undefined && Number.isFinite(now)) this.#since = String(now / 1_000);
    return stream;
  }

  async #read(stream: IncomingMessage): Promise<void> {
    let text = "";
    stream.setEncoding("utf8");
    for await (const chunk of stream as AsyncIterable<string>) {
      const lines = (text + chunk).split("\n");
      text = lines.pop() ?? "";
      if (text.length > LIMITS.engineLineCharacters) throw new Error("An event of the engine is too long.");
      for (const line of lines) {
        const event = parseEventLine(line);
        if (event !== undefined) this.#take(event);
      }
    }
  }

  #take(event: EngineEvent): void {
    this.#since = nextMoment(event.timeNano) ?? this.#since;
    const { containerId } = event;
    if (event.type === "start") this.#running.add(containerId);
    else if (event.type === "out_of_memory") this.#onEvent({ type: "out_of_memory", containerId });
    else this.#tellEnd(containerId, event.exitCode);
  }

  /** Everything that was running as far as we know and is not in the list has ended, whether or not an event says so. */
  async #compare(): Promise<void> {
    const before = [...this.#running, ...this.#source.started()];
    const running = new Set((await this.#source.list()).filter(({ state }) => state === "running").map(({ containerId }) => containerId));
    for (const containerId of running) if (!this.#ended.has(containerId)) this.#running.add(containerId);
    const gone = before.filter((containerId) => !running.has(containerId));
    if (gone.length === 0) return;
    // The event, when there is one, knows the exit code.
    await sleep(LIMITS.eventReplayMs, undefined, { signal: this.#signal, ref: false }).catch(() => {});
    if (!this.#signal.aborted) for (const containerId of gone) this.#tellEnd(containerId, -1);
  }

  #tellEnd(containerId: string, exitCode: number): void {
    this.#running.delete(containerId);
    if (this.#ended.has(containerId)) return;
    this.#ended.add(containerId);
    const [oldest] = this.#ended;
    if (this.#ended.size > LIMITS.eventEndsKept && oldest !== undefined) this.#ended.delete(oldest);
    this.#onEvent({ type: "ended", containerId, exitCode });
  }
}
