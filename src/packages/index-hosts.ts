import { isIP } from "node:net";
import { KernelboxError } from "../errors.ts";
import type { NetworkPolicy } from "../sandboxes/network-policy.ts";
import { allowsHost } from "../sandboxes/network-policy.ts";
import type { Manager } from "./requested-packages.ts";

export const PYPI = "pypi.org";
/** Where PyPI keeps its files. */
export const PYPI_FILES = "files.pythonhosted.org";
/** What Deno also names its copy of the registry by. */
export const NPM = "registry.npmjs.org";

/** Where a manager's packages come from. An address may hold a password, so it goes to the fetcher alone; a host may be told. */
export interface PackageSource {
  indexes: Record<string, string>;
  hosts: string[];
  /** What of it no allowlist opens, and why. */
  closed: Closed[];
}

interface Closed {
  /** A host, or a setting that names none. */
  what: string;
  why: string;
  /** Whether a sandbox with an open network may reach it. */
  isOpenable: boolean;
}

/** As the host's own settings say (package-indexes.ts), else the public index. */
export function packageSource(manager: Manager, settings: Readonly<Record<string, string>>): PackageSource {
  if (manager === "npm") {
    const registry = settings.NPM_CONFIG_REGISTRY;
    if (registry === undefined) return { indexes: {}, hosts: [NPM], closed: [] };
    return { indexes: { NPM_CONFIG_REGISTRY: registry }, ...reachOf(registry, "npm's registry") };
  }
  const index = plainIndex(settings.UV_DEFAULT_INDEX ?? settings.PIP_INDEX_URL);
  const extra = settings.PIP_EXTRA_INDEX_URL;
  const first = index === undefined ? { hosts: [PYPI], closed: [] } : reachOf(index, "the index");
  const more = reachOf(extra ?? "", "an extra index");
  const hosts = [...first.hosts, ...more.hosts];
  if (hosts.includes(PYPI)) hosts.push(PYPI_FILES);
  return {
    indexes: { ...(index === undefined ? {} : { PIP_INDEX_URL: index }), ...(extra === undefined ? {} : { PIP_EXTRA_INDEX_URL: extra }) },
    hosts: [...new Set(hosts)],
    closed: [...first.closed, ...more.closed],
  };
}

/** Throws where the sandbox may not reach what packages come from, with the flags that would let it. */
export function checkReach(policy: NetworkPolicy, { hosts, closed }: PackageSource): void {
  const unreachable = closed.filter(({ isOpenable }) => policy.mode !== "open" || !isOpenable);
  if (unreachable.length > 0) {
    throw new KernelboxError(
      "unsupported",
      `The sandbox cannot reach where packages come from: ${unreachable.map(({ what, why }) => `${what} ${why}`).join("; ")}.`,
      unreachable.every(({ isOpenable }) => isOpenable)
        ? "Do without, or ask the user for an index with a public name on port 80 or 443, or to start the server with --network open where its address is public."
        : "Do without, or ask the user for an index with a public name; no flag of the server opens this one.",
    );
  }
  const missing = hosts.filter((host) => !allowsHost(policy, host));
  if (missing.length === 0) return;
  const flags = `${missing.map((host) => `--allow-host ${host}`).join(" ")}`;
  if (policy.mode === "none") {
    throw new KernelboxError(
      "unsupported",
      "The sandbox has no network, so packages that are not in it already cannot be installed.",
      `Do without, or ask the user to start the server with --network allowlist ${flags}, or with --network open.`,
    );
  }
  throw new KernelboxError(
    "unsupported",
    `The sandbox's network policy leaves out where packages come from: ${missing.join(", ")}.`,
    `Do without, or ask the user to start the server with ${flags} as well.`,
    { details: { missing_hosts: missing } },
  );
}

/** uv takes `name=https://…`, and pip does not. */
function plainIndex(setting: string | undefined): string | undefined {
  return setting?.replace(/^\s*[A-Za-z0-9._-]+=(?=https?:)/, "");
}

function reachOf(addresses: string, setting: string): Pick<PackageSource, "hosts" | "closed"> {
  const hosts: string[] = [];
  const closed: Closed[] = [];
  for (const address of addresses.split(/\s+/).filter((each) => each !== "")) {
    const url = URL.canParse(address) ? new URL(address) : undefined;
    if (url === undefined || !/^https?:$/.test(url.protocol)) {
      // Not told: whatever it is may hold a password.
      closed.push({ what: setting, why: "is no http or https address", isOpenable: false });
      continue;
    }
    hosts.push(url.hostname);
    const reason = closedReason(url);
    if (reason !== undefined) closed.push({ what: url.hostname, ...reason });
  }
  return { hosts, closed };
}

/** As the proxy judges it (sandbox/kernelbox/egress). */
function closedReason({ protocol, hostname, port }: URL): Omit<Closed, "what"> | undefined {
  if (hostname.startsWith("[") || isIP(hostname) !== 0) return { why: "is an address, and a policy names hosts", isOpenable: true };
  if (!hostname.includes(".")) return { why: "has no dot, so it is no public name", isOpenable: false };
  if (port === "" || (protocol === "http:" && port === "443")) return undefined;
  return { why: `is asked on port ${port}, and only 80 for http and 443 for https are opened`, isOpenable: true };
}
