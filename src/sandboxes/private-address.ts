import { BlockList, isIPv6 } from "node:net";

const IPV4 = ["10.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16", "198.18.0.0/15"];
const IPV6 = ["::1/128", "fc00::/7", "fe80::/10"];

const PRIVATE = new BlockList();
for (const network of [...IPV4, ...IPV6]) {
  const [address = "", prefix] = network.split("/");
  PRIVATE.addSubnet(address, Number(prefix), isIPv6(address) ? "ipv6" : "ipv4");
}

/** Whether the proxy refuses an address whoever has it (sandbox/kernelbox/egress), of those that a host's interfaces bear. */
export function isPrivate(address: string): boolean {
  return PRIVATE.check(address, isIPv6(address) ? "ipv6" : "ipv4");
}
