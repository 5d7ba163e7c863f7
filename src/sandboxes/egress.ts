import type { Duplex } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import type { ContainerSpec, CreatedNetwork, Engine, NetworkMembership } from "../engines/engine.ts";
import { KernelboxError } from "../errors.ts";
import { LIMITS } from "../limits.ts";
import type { Log } from "../log.ts";
import { ownCommand } from "../own-command.ts";
import { EgressLog, egressMessages } from "./egress-log.ts";
import type { NetworkPolicy } from "./network-policy.ts";
import { isPrivate } from "./private-address.ts";

const PORT = 3128;

export interface EgressParts {
  engine: Engine;
  policy: NetworkPolicy;
  /** Name, image and labels as the sandbox's own. */
  spec: Pick<ContainerSpec, "name" | "image" | "labels" | "runtime">;
  log: Log;
  /** Our own words for what the sandbox's next reply should tell. */
  onTrouble: (notice: string) => void;
}

/**
 * A sandbox's way out: a network of its own, in which it meets a proxy and nobody else. The proxy decides, and what it let through or refused is
 * logged. One that ends while the sandbox lives is started again.
 */
export class Egress {
  readonly policy: NetworkPolicy;
  readonly #parts: EgressParts;
  readonly #network: CreatedNetwork;
  readonly #closing = new AbortController();
  readonly #log: EgressLog;
  readonly #running: Promise<void>;
  /** Proxies that are there, also one that could not be removed. */
  readonly #containers = new Set<string>();
  #isListening = false;
  #isReady: (error?: unknown) => void = () => {};
  /** Settles when the first proxy listens, or could not. */
  readonly ready: Promise<void>;

  private constructor(parts: EgressParts, network: CreatedNetwork) {
    this.policy = parts.policy;
    this.#parts = parts;
    this.#network = network;
    this.#log = new EgressLog(parts.log);
    this.ready = new Promise((resolve, reject) => {
      this.#isReady = (error) => (error === undefined ? resolve() : reject(error));
    });
    // Whoever made the sandbox may have given up before they wait for this.
    this.ready.catch(() => {});
    this.#running = this.#keep();
  }

  /** Makes the network; the proxy starts meanwhile, see `ready`. */
  static async open(parts: EgressParts, signal: AbortSignal): Promise<Egress> {
    const { engine, spec } = parts;
    return new Egress(parts, await engine.createNetwork({ name: spec.name, labels: spec.labels }, signal));
  }

  get sandbox(): NetworkMembership {
    return this.#membership(1);
  }

  /** Of the one container that fetches for the sandbox. */
  get fetcher(): NetworkMembership {
    return this.#membership(2);
  }

  get proxy(): string {
    return `http://${this.#network.addresses[0]}:${PORT}`;
  }

  /** Where programs look for a proxy; some know the one spelling only, some the other. */
  get env(): Record<string, string> {
    const { proxy } = this;
    const own = "localhost,127.0.0.1,::1";
    return { HTTP_PROXY: proxy, HTTPS_PROXY: proxy, http_proxy: proxy, https_proxy: proxy, NO_PROXY: own, no_proxy: own };
  }

  get networkId(): string {
    return this.#network.networkId;
  }

  /** Removes the proxy and the network; the sandbox must be gone already. May be called again where it failed. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#running;
    for (const containerId of this.#containers) await this.#destroy(containerId);
    await this.#parts.engine.removeNetwork(this.networkId);
  }

  #membership(index: number): NetworkMembership {
    return { networkId: this.#network.networkId, address: this.#network.addresses[index] as string, hasEgress: false };
  }

  async #keep(): Promise<void> {
    const { log, onTrouble } = this.#parts;
    const closing = this.#closing.signal;
    let retryMs: number = LIMITS.egress.retryMs.first;
    while (!closing.aborted) {
      const startedAt = Date.now();
      this.#isListening = false;
      const error = await this.#run().catch((thrown) => thrown);
      this.#isReady(error ?? proxyEnded());
      if (closing.aborted) return;
      log.warn({ err: error }, "the proxy of a sandbox ended; another one is started");
      // Once for each that served.
      if (this.#isListening) onTrouble("The sandbox had no network for a moment: connections that were open are broken.");
      if (Date.now() - startedAt > LIMITS.egress.retryMs.max) retryMs = LIMITS.egress.retryMs.first;
      await sleep(retryMs, undefined, { signal: closing, ref: false }).catch(() => {});
      retryMs = Math.min(retryMs * 2, LIMITS.egress.retryMs.max);
    }
  }

  /** One proxy, from its start to its end. */
  async #run(): Promise<void> {
    const { engine, policy, spec } = this.#parts;
    const { memoryBytes, workspaceBytes, cpus, pids, readyMs } = LIMITS.egress;
    const denied = await this.#hostAddresses();
    const network = { ...this.#membership(0), hasEgress: true };
    const container = { ...spec, program: "egress" as const, network, memoryBytes, workspaceBytes, cpus, pids };
    const { containerId, stream } = await engine.create(container, this.#closing.signal);
    this.#containers.add(containerId);
    const close = () => stream.destroy();
    this.#closing.signal.addEventListener("abort", close, { once: true });
    const late = setTimeout(() => stream.destroy(proxyEnded()), readyMs);
    const moved = setInterval(() => void this.#endWhereHostMoved(denied, stream), LIMITS.egress.addressesMs);
    try {
      if (this.#closing.signal.aborted) return;
      stream.write(`${JSON.stringify({ mode: policy.mode, hosts: policy.hosts, denied, listen: `${network.address}:${PORT}` })}\n`);
      await this.#follow(stream, () => clearTimeout(late));
    } finally {
      clearTimeout(late);
      clearInterval(moved);
      this.#closing.signal.removeEventListener("abort", close);
      stream.destroy();
      await this.#destroy(containerId);
    }
  }

  async #destroy(containerId: string): Promise<void> {
    await this.#parts.engine.destroy(containerId);
    this.#containers.delete(containerId);
  }

  /** Those that no rule of the proxy's refuses already: the host's public addresses. */
  async #hostAddresses(): Promise<string[]> {
    return (await this.#parts.engine.hostAddresses()).filter((address) => !isPrivate(address));
  }

  /** A machine gets other addresses as it goes from one network to another: a proxy that does not know them is replaced by one that does. */
  async #endWhereHostMoved(known: string[], stream: Duplex): Promise<void> {
    const addresses = await this.#hostAddresses().catch(() => []);
    if (addresses.some((address) => !known.includes(address))) stream.destroy(new Error("This machine has another address now."));
  }

  async #follow(stream: Duplex, onReady: () => void): Promise<void> {
    for await (const message of egressMessages(stream)) {
      if (message.event === "request") this.#log.add(message);
      if (message.event !== "ready") continue;
      onReady();
      this.#isListening = true;
      this.#isReady();
    }
  }
}

function proxyEnded(): KernelboxError {
  return new KernelboxError(
    "engine_unavailable",
    "The proxy that gives a sandbox its network did not start.",
    `Its reason is in the server's log. Without --network sandboxes need none. Look at everything: ${ownCommand("doctor")}`,
  );
}
