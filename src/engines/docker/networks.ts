import { randomBytes, randomInt } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type Docker from "dockerode";
import { KernelboxError } from "../../errors.ts";
import { LIMITS } from "../../limits.ts";
import type { CreatedNetwork, NetworkSpec, NetworkSummary } from "../engine.ts";
import { answered, cancelledError, statusOf } from "./errors.ts";
import { OWNER_LABEL } from "./list.ts";

/** Subnets are ours to choose: an engine's own pools have room for thirty networks. 198.18.0.0/15 is nobody's (RFC 2544). */
const POOL = { first: 198, second: 18, addresses: 2 ** 17 };
const SUBNET_ADDRESSES = 8;
/** Of the eight the first is the network's, the second the gateway's, which nobody has here, and the last is for all. */
const FIRST_HOST = 2;
const HOSTS = 5;

export async function createNetwork(docker: Docker, spec: NetworkSpec, signal?: AbortSignal): Promise<CreatedNetwork> {
  if (!/^[a-z0-9-]{1,40}$/.test(spec.name))
    throw new KernelboxError("internal", "A network's name is out of its bounds.", "Report it with the server's log from stderr.");
  for (let tries = 1; ; tries++) {
    if (signal?.aborted) throw cancelledError(signal.reason);
    const base = randomInt(POOL.addresses / SUBNET_ADDRESSES) * SUBNET_ADDRESSES;
    // The name is chosen here, so that a network whose answer never came can still be found and removed.
    const name = `${spec.name}-${randomBytes(6).toString("hex")}`;
    const options = {
      Name: name,
      Driver: "bridge",
      CheckDuplicate: true,
      Internal: true,
      Labels: { ...spec.labels },
      IPAM: { Driver: "default", Config: [{ Subnet: `${addressAt(base)}/29` }] },
      // Without an address of the host on it: containers of an internal network reach the host by that otherwise.
      Options: { "com.docker.network.bridge.inhibit_ipv4": "true" },
    };
    try {
      const network = await answered("creating a network", () => docker.createNetwork(options), {
        onLate: () => void removeNetwork(docker, name).catch(() => {}),
      });
      const addresses = Array.from({ length: HOSTS }, (_, index) => addressAt(base + FIRST_HOST + index));
      return { networkId: network.id, addresses };
    } catch (error) {
      await removeNetwork(docker, name).catch(() => {});
      if (!isOverlap(error)) throw error;
      if (tries >= LIMITS.subnetTries) throw noSubnet(error);
    }
  }
}

export async function listNetworks(docker: Docker): Promise<NetworkSummary[]> {
  const options = { filters: { label: [OWNER_LABEL] } };
  const networks = await answered("listing networks", (abortSignal) => docker.listNetworks({ ...options, abortSignal } as object));
  const summaries = networks.map(async ({ Id, Labels = {}, Created }) => ({
    networkId: Id,
    labels: Labels,
    createdAt: new Date(Created),
    isUsed: await isUsed(docker, Id),
  }));
  return await Promise.all(summaries);
}

/** Its last containers may be on their way out. */
export async function removeNetwork(docker: Docker, idOrName: string): Promise<void> {
  const deadline = Date.now() + LIMITS.destroyMs;
  let pollMs: number = LIMITS.destroyPollMs.first;
  while (true) {
    try {
      await answered("removing a network", (abortSignal) => docker.getNetwork(idOrName).remove({ abortSignal }));
      return;
    } catch (error) {
      const status = statusOf(error);
      if (status === 404) return;
      // 403: a container is in it.
      if (status !== 403 && status !== 409 && status !== 500) throw error;
      if (Date.now() + pollMs >= deadline) throw error;
    }
    await sleep(pollMs);
    pollMs = Math.min(pollMs * 2, LIMITS.destroyPollMs.max);
  }
}

/** A list does not tell; one that was removed in between is nobody's. */
async function isUsed(docker: Docker, networkId: string): Promise<boolean> {
  const inspect = async () => await docker.getNetwork(networkId).inspect();
  const network: Docker.NetworkInspectInfo | undefined = await answered("inspecting a network", inspect).catch(() => undefined);
  return Object.keys(network?.Containers ?? {}).length > 0;
}

function addressAt(offset: number): string {
  return `${POOL.first}.${POOL.second + (offset >> 16)}.${(offset >> 8) & 255}.${offset & 255}`;
}

function noSubnet(cause: unknown): KernelboxError {
  return new KernelboxError(
    "engine_unavailable",
    `No free subnet for a sandbox's network was found in ${LIMITS.subnetTries} tries within 198.18.0.0/15.`,
    "Remove the networks that nobody uses: docker network prune. See who has that range: docker network ls.",
    { cause },
  );
}

/** Engines say it in words only, with one status or another. */
function isOverlap(error: unknown): boolean {
  return error instanceof KernelboxError && /overlap/i.test(String(error.details?.engine_message));
}
