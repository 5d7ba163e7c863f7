import { isIPv4 } from "node:net";
import type { ContainerCreateOptions, HostConfig } from "dockerode";
import type { NetworkMembership } from "../engine.ts";

/** The engine's own network, from which the world is reached. */
export const OUTSIDE = "bridge";

type NetworkOptions = Pick<HostConfig, "NetworkMode" | "Dns" | "DnsOptions" | "Sysctls"> & Pick<ContainerCreateOptions, "NetworkingConfig">;

/** Settings of a container's network. One with a way out is on the engine's own network first; `joinNetwork` puts it into its other one. */
export function networkOptions(network: NetworkMembership | undefined): NetworkOptions {
  if (network === undefined) return { NetworkMode: "none" };
  if (network.hasEgress) {
    // Containers inherit the host's forwarding: this one must never be a router between its two networks.
    return { NetworkMode: OUTSIDE, Sysctls: { "net.ipv4.ip_forward": "0" } };
  }
  return {
    NetworkMode: network.networkId,
    NetworkingConfig: { EndpointsConfig: { [network.networkId]: endpoint(network) } },
    // Engines before 23.0.11, 25.0.5 and 26.0 ask the host's name servers also for containers of a network without a way out (CVE-2024-29018). A server
    // that is named is asked from the container's own network instead, and at this address nobody answers. Names fail after a second in place of ten.
    Dns: ["127.0.0.1"],
    DnsOptions: ["timeout:1", "attempts:1"],
  };
}

export function endpoint({ address }: NetworkMembership) {
  return { IPAMConfig: { IPv4Address: address } };
}

export function isGoodMembership(network: NetworkMembership | undefined): boolean {
  return network === undefined || (/^[0-9a-f]{64}$/.test(network.networkId) && isIPv4(network.address));
}
