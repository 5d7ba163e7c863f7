import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { networkInterfaces } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { LIMITS } from "../../limits.ts";
import type { Endpoint } from "./endpoint.ts";

/**
 * The addresses of the machine that the engine runs on: of a local engine this machine's, and of another one those of its name. What a remote
 * machine has besides cannot be told from here. An engine in a virtual machine of its own has this machine behind it, whose addresses count as well.
 */
export async function hostAddresses({ address }: Endpoint): Promise<string[]> {
  const own = Object.values(networkInterfaces()).flatMap((each = []) => each.map((one) => one.address));
  const named = "host" in address ? await addressesOf(address.host) : [];
  // A zone belongs to one interface, and means nothing elsewhere.
  return [...new Set([...own, ...named].map((one) => one.replace(/%.*$/, "")))].filter((one) => isIP(one) !== 0);
}

async function addressesOf(host: string): Promise<string[]> {
  const found = lookup(host, { all: true }).then((all) => all.map((each) => each.address));
  return await Promise.race([found, sleep(LIMITS.engineProbeMs, [], { ref: false })]).catch(() => []);
}
