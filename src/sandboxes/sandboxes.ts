import type { Duplex } from "node:stream";
import type { ContainerEvent, ContainerSpec, Engine, ImageInfo, WorkspaceStorage } from "../engines/engine.ts";
import { KernelboxError } from "../errors.ts";
import { newId } from "../ids.ts";
import { LIMITS } from "../limits.ts";
import type { Log } from "../log.ts";
import { ownCommand } from "../own-command.ts";
import type { Bindings } from "../store/bindings.ts";
import type { Owner } from "../store/owner.ts";
import { abortable } from "./abortable.ts";
import { cacheVolumeOf } from "./cache-volume.ts";
import { Egress, type EgressParts } from "./egress.ts";
import type { ImageSupply } from "./image-supply.ts";
import { LABELS } from "./labels.ts";
import type { NetworkPolicy } from "./network-policy.ts";
import { Pool } from "./pool.ts";
import { Removals } from "./removals.ts";
import { Sandbox, type SandboxEnd } from "./sandbox.ts";
import { sweep } from "./sweep.ts";

export interface SandboxSettings {
  leaseSeconds: number;
  memoryBytes: number;
  workspaceBytes: number;
  workspaceOn: WorkspaceStorage;
  cpus: number;
  pids: number;
  runtime?: string | undefined;
  network: NetworkPolicy;
  /** How many are kept ready. */
  pool: number;
}

/** A container that fetches packages. */
export interface Fetcher {
  /** Its stdin and stdout. It ends when this does. */
  stream: Duplex;
  /** Where it meets the world. */
  proxy: string;
}

export interface SandboxesOptions {
  engine: Engine;
  images: ImageSupply;
  owner: Owner;
  bindings: Bindings;
  settings: SandboxSettings;
  log: Log;
  /** Makes a sandbox its principal's own, before anybody can use it, and leaves off where the signal says so. Must not reject. */
  onClaim?: (sandbox: Sandbox, signal: AbortSignal) => Promise<void>;
  /** One that was claimed has ended. */
  onEnded?: (sandbox: Sandbox) => void;
}

/**
 * All sandboxes of this server: claimed from the pool or made lazily, looked up by handle and principal, removed at the end. Whose a sandbox is
 * stands here and in the store, never in anything that a sandbox or a label says.
 */
export class Sandboxes {
  readonly #options: SandboxesOptions;
  /** Those that were claimed, also ended ones. */
  readonly #sandboxes = new Map<string, Sandbox>();
  readonly #defaults = new Map<string, Promise<Sandbox>>();
  /** Ended default sandboxes whose principal got no execution's reply that says so yet. */
  readonly #untold = new Map<string, Sandbox>();
  /** The same for calls that found something missing. */
  readonly #unrefused = new Map<string, Sandbox>();
  /** Those that have not ended, also where they are nobody's yet. */
  readonly #living = new Set<Sandbox>();
  readonly #pool: Pool;
  readonly #closing = new AbortController();
  readonly #removals: Removals;
  #watching = false;

  constructor(options: SandboxesOptions) {
    this.#options = options;
    this.#removals = new Removals(options.log);
    this.#pool = new Pool({
      size: options.settings.pool,
      images: options.images,
      start: (image) => this.#start(image),
      isBusy: () => [...this.#living].some((sandbox) => sandbox.isBusy),
      closing: this.#closing.signal,
      log: options.log,
    });
  }

  /**
   * The principal's own sandbox, made now where there is none. `use` is for calls that need what is in it: when it was lost since the
   * last call they are told so, once, instead of finding an empty one. Calls that need nothing leave the loss to be told by the next that can.
   */
  async default(principal: string, purpose: "make" | "use", signal?: AbortSignal): Promise<Sandbox> {
    const lost = purpose === "use" ? this.#unrefused.get(principal) : undefined;
    if (lost !== undefined) {
      this.#unrefused.delete(principal);
      throw lost.lostError();
    }
    let pending = this.#defaults.get(principal);
    if (pending === undefined) {
      pending = this.#create(principal);
      this.#defaults.set(principal, pending);
      pending.catch(() => this.#defaults.delete(principal));
    }
    return await abortable(pending, signal);
  }

  /** The principal's own sandbox, if it is there already. */
  async existingDefault(principal: string): Promise<Sandbox | undefined> {
    return await this.#defaults.get(principal)?.catch(() => undefined);
  }

  /** Begins to keep sandboxes ready, as many as the settings say. */
  fillPool(): void {
    this.#pool.begin();
  }

  /** `not_found` for unknown and foreign handles alike; `sandbox_lost` or `sandbox_expired` for one's own that has ended. */
  get(sandboxId: string, principal: string): Sandbox {
    const sandbox = this.#sandboxes.get(sandboxId);
    if (sandbox?.principal !== principal) {
      throw new KernelboxError("not_found", "There is no sandbox with this id.", "Leave out sandbox_id to use your own sandbox.");
    }
    if (sandbox.end !== undefined) throw sandbox.lostError();
    return sandbox;
  }

  /** A sandbox that has not ended, for whoever has checked already whose it is. */
  find(sandboxId: string): Sandbox | undefined {
    const sandbox = this.#sandboxes.get(sandboxId);
    return sandbox?.end === undefined ? sandbox : undefined;
  }

  /** The principal's sandboxes that have not ended, in the order in which they were claimed. */
  living(principal: string): Sandbox[] {
    return [...this.#sandboxes.values()].filter((sandbox) => sandbox.end === undefined && sandbox.principal === principal);
  }

  /** Whether the handle is remembered, be it of one that has ended. */
  isKnown(sandboxId: string): boolean {
    return this.#sandboxes.has(sandboxId);
  }

  /** How a sandbox ended; undefined while it lives. */
  endOf(sandboxId: string): Omit<SandboxEnd, "at"> | undefined {
    const sandbox = this.#sandboxes.get(sandboxId);
    return sandbox === undefined ? { reason: "sandbox_expired", message: "it ended long ago" } : sandbox.end;
  }

  /** The principal's sandbox that ended, where no execution's reply has said so yet. */
  untoldLoss(principal: string): Sandbox | undefined {
    return this.#untold.get(principal);
  }

  lossWasTold(sandbox: Sandbox): void {
    for (const losses of [this.#untold, this.#unrefused]) if (losses.get(sandbox.principal) === sandbox) losses.delete(sandbox.principal);
  }

  /**
   * Starts the image's fetcher beside a sandbox that has a network: behind the same proxy, with the download cache of the sandbox's principal. `use`
   * gets its stdin and stdout; it is removed when `use` has settled. One at a time for a sandbox; `unsupported` for one without a network.
   */
  async withFetcher<T>(sandbox: Sandbox, use: (fetcher: Fetcher) => Promise<T>, signal?: AbortSignal): Promise<T> {
    const { engine, images, owner } = this.#options;
    const { egress } = sandbox;
    if (egress === undefined) throw new KernelboxError("unsupported", "The sandbox has no network.", "Start Kernelbox with --network.");
    const spec = {
      ...this.#containerBase(await images.get()),
      ...LIMITS.fetcher,
      program: "fetcher" as const,
      network: egress.fetcher,
      env: egress.env,
      cacheVolume: cacheVolumeOf(sandbox.principal, owner),
    };
    const stop = AbortSignal.any([this.#closing.signal, sandbox.gone, ...(signal === undefined ? [] : [signal])]);
    try {
      const { containerId, stream } = await engine.create(spec, stop);
      const end = () => stream.destroy();
      stop.addEventListener("abort", end, { once: true });
      try {
        stop.throwIfAborted();
        return await use({ stream, proxy: egress.proxy });
      } finally {
        stop.removeEventListener("abort", end);
        end();
        await this.#removals.remove("a fetcher", containerId, () => engine.destroy(containerId));
      }
    } catch (error) {
      // Whatever broke then is that, and no failure of an index.
      throw sandbox.end === undefined ? error : sandbox.lostError();
    }
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.allSettled([...this.#defaults.values(), this.#pool.settled]);
    for (const sandbox of [...this.#living]) sandbox.markEnded("sandbox_expired", "the server stopped");
    await this.#removals.settled();
  }

  /** A sandbox of the principal's: one from the pool where there is one, else a new one. */
  async #create(principal: string): Promise<Sandbox> {
    const { images, bindings } = this.#options;
    const pooled = await this.#pool.claim();
    const sandbox = pooled ?? (await this.#start(await images.get()));
    if (pooled === undefined) this.#pool.encourage();
    // It may have ended while we were told of it.
    if (sandbox.end !== undefined) throw sandbox.lostError();
    sandbox.claim(principal);
    this.#sandboxes.set(sandbox.sandboxId, sandbox);
    await bindings.add({ sandboxId: sandbox.sandboxId, principal, containerId: sandbox.containerId });
    await this.#options.onClaim?.(sandbox, AbortSignal.any([this.#closing.signal, AbortSignal.timeout(LIMITS.claimMs)]));
    return sandbox;
  }

  /** Makes a sandbox that is nobody's yet. */
  async #start(image: ImageInfo): Promise<Sandbox> {
    const { engine, images, settings, log } = this.#options;
    const signal = AbortSignal.any([this.#closing.signal, AbortSignal.timeout(LIMITS.createMs)]);
    const startedAt = performance.now();
    this.#watch();
    const sandboxId = newId("sbx");
    const base = this.#containerBase(image);
    const egress = await this.#openEgress(base, sandboxId, signal);
    const spec = {
      ...base,
      memoryBytes: settings.memoryBytes,
      workspaceBytes: settings.workspaceBytes,
      workspaceOn: settings.workspaceOn,
      cpus: settings.cpus,
      pids: settings.pids,
      network: egress?.sandbox,
      env: egress?.env,
    };
    const { containerId, stream } = await engine.create(spec, signal).catch(async (thrown) => {
      images.forget();
      if (egress !== undefined) await this.#removals.remove("a network", egress.networkId, () => egress.close());
      throw createError(thrown, this.#closing.signal);
    });
    const sandbox = new Sandbox(
      { sandboxId, containerId, languages: image.languages, egress },
      { engine, log, leaseSeconds: settings.leaseSeconds, onEnd: (ended) => this.#ended(ended) },
    );
    this.#living.add(sandbox);
    try {
      await sandbox.attach(stream);
      await abortable(egress?.ready ?? Promise.resolve(), signal);
      if (signal.aborted) throw KernelboxError.cancelled(signal.reason);
    } catch (thrown) {
      sandbox.markEnded("sandbox_lost", "it did not start");
      throw createError(thrown, this.#closing.signal);
    }
    log.info(
      { sandbox_id: sandboxId, container_id: containerId.slice(0, 12), ms: Math.round(performance.now() - startedAt) },
      "sandbox started",
    );
    return sandbox;
  }

  /** What the containers of one sandbox have in common. */
  #containerBase(image: Pick<ImageInfo, "ref">): Pick<ContainerSpec, "name" | "image" | "labels" | "runtime"> {
    const { owner, settings } = this.#options;
    return {
      name: `kernelbox-${owner.id.slice(0, 8)}`,
      image: image.ref,
      labels: {
        [LABELS.owner]: owner.id,
        [LABELS.host]: owner.host,
        [LABELS.image]: image.ref,
        [LABELS.created]: new Date().toISOString(),
      },
      runtime: settings.runtime,
    };
  }

  async #openEgress(spec: EgressParts["spec"], sandboxId: string, signal: AbortSignal): Promise<Egress | undefined> {
    const { engine, log, settings } = this.#options;
    if (settings.network.mode === "none") return undefined;
    const onTrouble = (notice: string) => [...this.#living].find((sandbox) => sandbox.sandboxId === sandboxId)?.note(notice);
    return await Egress.open(
      { engine, policy: settings.network, spec, log: log.child({ sandbox_id: sandboxId }), onTrouble },
      signal,
    ).catch((thrown) => {
      throw createError(thrown, this.#closing.signal);
    });
  }

  #ended(sandbox: Sandbox): void {
    const { engine, log } = this.#options;
    const { containerId, egress, end } = sandbox;
    log.info({ sandbox_id: sandbox.sandboxId, reason: end?.reason, message: end?.message }, "sandbox ended");
    this.#living.delete(sandbox);
    this.#pool.ended(sandbox);
    // One that was nobody's is nobody's loss.
    if (this.#sandboxes.has(sandbox.sandboxId)) this.#noteLoss(sandbox);
    void this.#removals.remove("a sandbox", containerId, async () => {
      if (end?.isTakenOver !== true) await engine.destroy(containerId);
      await egress?.close();
    });
  }

  #noteLoss(sandbox: Sandbox): void {
    this.#options.bindings.remove(sandbox.sandboxId);
    this.#options.onEnded?.(sandbox);
    const pending = this.#defaults.get(sandbox.principal);
    void pending?.then(
      (current) => {
        if (current !== sandbox) return;
        this.#defaults.delete(sandbox.principal);
        this.#untold.set(sandbox.principal, sandbox);
        this.#unrefused.set(sandbox.principal, sandbox);
      },
      () => {},
    );
    this.#forgetOldest();
  }

  /** From the first container on, the engine tells of ends that the channel cannot explain, and what dead servers left is swept. */
  #watch(): void {
    if (this.#watching) return;
    this.#watching = true;
    const { engine, owner, log } = this.#options;
    engine.watch((event) => this.#containerEvent(event), this.#closing.signal);
    const look = () => {
      this.#removals.retry();
      void sweep(engine, owner, log).catch((error) => log.warn({ err: error }, "the sweep for left containers failed"));
    };
    look();
    const timer = setInterval(look, LIMITS.sweepIntervalMs);
    timer.unref();
    this.#closing.signal.addEventListener("abort", () => clearInterval(timer), { once: true });
  }

  #forgetOldest(): void {
    const ended = [...this.#sandboxes.values()].filter((sandbox) => sandbox.end !== undefined);
    for (const { sandboxId } of ended.slice(0, Math.max(0, ended.length - LIMITS.endedSandboxesKept))) this.#sandboxes.delete(sandboxId);
  }

  #containerEvent(event: ContainerEvent): void {
    const sandbox = [...this.#living].find((candidate) => candidate.containerId === event.containerId);
    if (event.type === "out_of_memory") sandbox?.noteOutOfMemory();
    else sandbox?.markEnded("sandbox_lost", `its container ended with exit code ${event.exitCode}`);
  }
}

function createError(thrown: unknown, closing: AbortSignal): KernelboxError {
  const error = KernelboxError.from(thrown);
  const isLate = error.code === "cancelled" || (error.cause instanceof Error && error.cause.name === "TimeoutError");
  if (!isLate || closing.aborted) return error;
  return new KernelboxError(
    "deadline_exceeded",
    `The sandbox did not start within ${LIMITS.createMs} ms.`,
    `Try again; if it happens again, look at everything: ${ownCommand("doctor")}`,
    { cause: thrown },
  );
}
