import { setTimeout as sleep } from "node:timers/promises";
import type { ImageInfo } from "../engines/engine.ts";
import { KernelboxError } from "../errors.ts";
import { newId } from "../ids.ts";
import { LIMITS } from "../limits.ts";
import type { Log } from "../log.ts";
import type { ImageSupply } from "./image-supply.ts";
import { HOME } from "./paths.ts";
import type { Sandbox } from "./sandbox.ts";
import { contextSchema, contextsSchema } from "./supervisor-schemas.ts";

/** What nearly every first execution asks for. */
const LANGUAGE = "python";

export interface PoolParts {
  size: number;
  images: ImageSupply;
  /** Makes a sandbox that is nobody's yet. */
  start: (image: ImageInfo) => Promise<Sandbox>;
  /** Whether code runs in any sandbox of this server. */
  isBusy: () => boolean;
  closing: AbortSignal;
  log: Log;
}

interface Pooled {
  sandbox: Sandbox;
  image: ImageInfo;
}

/**
 * Sandboxes that are kept ready, each with a Python context in which nothing ran. Taking one out is one step that nothing can come between, so no
 * two claims get the same, and none ever comes back. They have no greatest age: nothing runs in them, and whether they are well is asked at the claim.
 */
export class Pool {
  readonly #parts: PoolParts;
  #ready: Pooled[] = [];
  #hasBegun = false;
  #filling: Promise<void> | undefined;
  /** Tries to fill it that failed in a row, and sandboxes that died in it since the last claim: the next try waits the longer. */
  #failures = 0;
  #deaths = 0;
  #wake = () => {};

  constructor(parts: PoolParts) {
    this.#parts = parts;
    parts.closing.addEventListener("abort", () => this.#wake(), { once: true });
  }

  /** Settles when nothing is being made. */
  get settled(): Promise<void> {
    return this.#filling ?? Promise.resolve();
  }

  /** From now on it is filled, and looked after. */
  begin(): void {
    if (this.#hasBegun || this.#parts.size === 0) return;
    this.#hasBegun = true;
    this.#fill();
    const timer = setInterval(() => void this.#lookAtImage(), LIMITS.pool.imageMs);
    timer.unref();
    this.#parts.closing.addEventListener("abort", () => clearInterval(timer), { once: true });
  }

  /** A sandbox for one owner, who has to claim it; undefined where none is ready. */
  async claim(): Promise<Sandbox | undefined> {
    for (let pooled = this.#ready.shift(); pooled !== undefined; pooled = this.#ready.shift()) {
      this.#deaths = 0;
      this.#fill();
      if (await this.#isAsNew(pooled.sandbox)) return pooled.sandbox;
      pooled.sandbox.markEnded("sandbox_lost", "it was found unwell in the pool");
    }
    return undefined;
  }

  /** A sandbox was made for somebody: whatever kept us from making some may be over. */
  encourage(): void {
    this.#failures = 0;
    this.#deaths = 0;
    this.#wake();
    this.#fill();
  }

  /** A sandbox has ended; where it was one of ours, another takes its place. */
  ended(sandbox: Sandbox): void {
    const ready = this.#ready.filter((pooled) => pooled.sandbox !== sandbox);
    if (ready.length === this.#ready.length) return;
    this.#ready = ready;
    this.#deaths++;
    this.#fill();
  }

  get #isShort(): boolean {
    return this.#ready.length < this.#parts.size && !this.#parts.closing.aborted;
  }

  #fill(): void {
    if (this.#hasBegun && this.#isShort) this.#filling ??= this.#keepFilling();
  }

  /** One at a time, until there are enough. Never rejects. */
  async #keepFilling(): Promise<void> {
    const { closing, log } = this.#parts;
    while (this.#isShort) {
      try {
        await this.#wait();
        await this.#quiet();
        await this.#add();
        this.#failures = 0;
      } catch (error) {
        if (closing.aborted) break;
        this.#failures++;
        // The first says it; that it goes on so, for hours perhaps, is worth no line each.
        log[this.#failures === 1 ? "info" : "debug"]({ err: error }, "no sandbox could be made ready ahead; trying again later");
      }
    }
    this.#filling = undefined;
  }

  /** Twice as long after each failure, up to a bound, or until a sandbox could be made for somebody. */
  async #wait(): Promise<void> {
    const failed = this.#failures + this.#deaths;
    if (failed === 0) return;
    const { first, max } = LIMITS.pool.retryMs;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, Math.min(first * 2 ** (failed - 1), max));
      timer.unref();
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /**
   * Waits until no code runs: starting a container and a kernel takes about a second of a processor, which is better taken from nobody. The wait begins
   * before the first look, since a claim is followed by its execution. It is bounded, or code that runs for an hour would let everybody else find the
   * pool empty for as long.
   */
  async #quiet(): Promise<void> {
    const giveUpAt = performance.now() + LIMITS.pool.busyMs;
    do await sleep(LIMITS.pool.quietMs, undefined, { signal: this.#parts.closing, ref: false });
    while (this.#parts.isBusy() && performance.now() < giveUpAt);
  }

  async #add(): Promise<void> {
    const image = await this.#parts.images.find();
    if (image === undefined) {
      throw new KernelboxError("engine_unavailable", "The engine does not have the image yet.", "The first execution says how to get it.");
    }
    const sandbox = await this.#parts.start(image);
    try {
      await this.#startContext(sandbox);
    } catch (error) {
      sandbox.markEnded("sandbox_lost", "its kernel did not start ahead");
      throw error;
    }
    if (sandbox.end !== undefined) throw sandbox.lostError();
    this.#ready.push({ sandbox, image });
    this.#parts.log.debug({ sandbox_id: sandbox.sandboxId, ready: this.#ready.length }, "a sandbox is ready ahead");
  }

  async #startContext(sandbox: Sandbox): Promise<void> {
    if (!sandbox.languages.includes(LANGUAGE)) return;
    const contextId = newId("ctx");
    const params = { context_id: contextId, language: LANGUAGE, cwd: HOME, start_timeout_s: LIMITS.contextStartMs / 1_000 };
    const deadlineMs = LIMITS.contextStartMs + LIMITS.requestMs;
    await sandbox.request("context.create", params, contextSchema, { signal: this.#parts.closing, deadlineMs });
    sandbox.prepare({ contextId, language: LANGUAGE });
  }

  /**
   * Whether it answers, and its context is as it was started. A container's death takes a moment to be heard of, and a kernel's is heard of with the next
   * execution only; neither is its claimer's loss.
   */
  async #isAsNew(sandbox: Sandbox): Promise<boolean> {
    try {
      const { contexts } = await sandbox.request("context.list", {}, contextsSchema, { signal: AbortSignal.timeout(LIMITS.pool.claimMs) });
      return contexts.every(({ incarnation, state, loss }) => incarnation === 1 && state === "idle" && (loss ?? null) === null);
    } catch {
      return false;
    }
  }

  /** Ends those that were made from another image than the one that the name means now. What is cached of it would never tell. */
  async #lookAtImage(): Promise<void> {
    if (this.#ready.length === 0) return;
    const image = await this.#parts.images.find().catch(() => undefined);
    const old = this.#ready.filter((pooled) => image !== undefined && pooled.image.id !== image.id);
    this.#ready = this.#ready.filter((pooled) => !old.includes(pooled));
    for (const { sandbox } of old) sandbox.markEnded("sandbox_expired", "the image was replaced");
    this.#fill();
  }
}
