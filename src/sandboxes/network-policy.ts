import { isIP } from "node:net";
import { domainToASCII } from "node:url";

export const NETWORK_MODES = ["none", "allowlist", "open"] as const;
export type NetworkMode = (typeof NETWORK_MODES)[number];

/** What a sandbox may reach. What is private stays unreachable in every mode: this host, its neighbours, the metadata address, other sandboxes. */
export interface NetworkPolicy {
  /** `none`: nothing. `allowlist`: the hosts that are named. `open`: every public one. */
  mode: NetworkMode;
  /** Of an allowlist: names in their canonical form, `*.` before one for all below it. */
  hosts: readonly string[];
}

const LABEL = /^(?!-)[a-z0-9_-]{1,63}(?<!-)$/;

/** The canonical form of a host name as a person writes it, with `*.` or without; throws a RangeError that says what is wrong with it. */
export function hostPattern(text: string): string {
  const below = text.startsWith("*.");
  const written = (below ? text.slice(2) : text).replace(/\.$/, "");
  if (/[/:@\s]/.test(written) && isIP(written) === 0) throw new RangeError("it takes a host's name alone, without scheme, port or path");
  // The parser of URLs knows every spelling of an address: short, octal, hexadecimal.
  const name = domainToASCII(written);
  if (isIP(written) !== 0 || isIP(name) !== 0) throw new RangeError("it takes names, and this is an address: name the host");
  const labels = name.split(".");
  if (name.length > 253 || !labels.every((label) => LABEL.test(label))) throw new RangeError("this is no host name");
  if (labels.length < 2) throw new RangeError("it takes public names, which have a dot");
  return below ? `*.${name}` : name;
}

/** Whether a policy lets a host be asked for; whether its addresses are public shows later. */
export function allowsHost({ mode, hosts }: NetworkPolicy, host: string): boolean {
  if (mode !== "allowlist") return mode === "open";
  return hosts.some((pattern) => (pattern.startsWith("*.") ? host.endsWith(pattern.slice(1)) : host === pattern));
}

/** Hosts that the note names. */
const NOTED_HOSTS = 10;

/** What a sandbox with this policy can reach, as a sentence for models. */
export function networkNote({ mode, hosts }: NetworkPolicy): string {
  if (mode === "none") return "The sandbox has no network.";
  const by = "over HTTP and HTTPS by the proxy that HTTPS_PROXY names";
  if (mode === "open") return `The sandbox reaches public hosts, ${by}.`;
  const more = hosts.length > NOTED_HOSTS ? ` and ${hosts.length - NOTED_HOSTS} more` : "";
  return `The sandbox reaches only these hosts, ${by}: ${hosts.slice(0, NOTED_HOSTS).join(", ")}${more}.`;
}
