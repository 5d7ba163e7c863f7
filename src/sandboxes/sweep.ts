import type { ContainerSummary, Engine, NetworkSummary } from "../engines/engine.ts";
import type { Log } from "../log.ts";
import type { Owner } from "../store/owner.ts";
import { LABELS } from "./labels.ts";

/** A container that was made but never started is let be for this long where its server cannot be asked: it may be about to start it. */
const STARTING_MS = 10 * 60_000;
/** One that has ended is let be for this long where its server cannot be asked: it may be about to ask how it ended. */
const ENDING_MS = 10_000;

/**
 * Removes what dead servers left: containers that have ended or never started, and on this host also running ones whose server is known to be
 * gone (their lease would end them in a moment). Never a running one of a server that lives or cannot be asked. Gives how many containers.
 */
export async function sweep(engine: Engine, owner: Owner, log: Log): Promise<number> {
  let removed = 0;
  const resisting = new Set<string | undefined>();
  for (const container of await engine.list()) {
    if (!(await isLeft(container, owner))) continue;
    // One that resists must not keep the others.
    await engine.destroy(container.containerId).then(
      () => removed++,
      (error) => {
        resisting.add(container.labels[LABELS.owner]);
        log.warn({ err: error, container_id: container.containerId }, "a container that a dead server left could not be removed");
      },
    );
  }
  const networks = await sweepNetworks(engine, owner, log, resisting);
  // Without its server's folder nobody could tell any more that the server is dead.
  await owner.sweep(resisting);
  if (removed + networks > 0) log.info({ containers: removed, networks }, "removed what earlier servers had left");
  return removed;
}

/** After the containers, which keep their networks. */
async function sweepNetworks(engine: Engine, owner: Owner, log: Log, resisting: Set<string | undefined>): Promise<number> {
  let removed = 0;
  for (const network of await engine.listNetworks()) {
    if (network.isUsed || !(await isNetworkLeft(network, owner))) continue;
    await engine.removeNetwork(network.networkId).then(
      () => removed++,
      (error) => {
        resisting.add(network.labels[LABELS.owner]);
        log.warn({ err: error, network_id: network.networkId }, "a network that a dead server left could not be removed");
      },
    );
  }
  return removed;
}

async function isNetworkLeft({ labels, createdAt }: NetworkSummary, owner: Owner): Promise<boolean> {
  const server = await livenessOf(labels, owner);
  return server === "unknown" ? Date.now() - createdAt.getTime() > STARTING_MS : server === "dead";
}

async function livenessOf(labels: Record<string, string>, owner: Owner) {
  return labels[LABELS.host] === owner.host ? await owner.liveness(labels[LABELS.owner] ?? "") : "unknown";
}

async function isLeft(container: ContainerSummary, owner: Owner): Promise<boolean> {
  const server = await livenessOf(container.labels, owner);
  if (server !== "unknown") return server === "dead";
  if (container.state === "created") return Date.now() - container.createdAt.getTime() > STARTING_MS;
  return container.state === "exited" && Date.now() - (container.endedAt?.getTime() ?? 0) > ENDING_MS;
}
