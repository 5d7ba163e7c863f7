import { KernelboxError } from "../errors.ts";
import type { NetworkPolicy } from "../sandboxes/network-policy.ts";
import { allowsHost } from "../sandboxes/network-policy.ts";
import type { Manager } from "./requested-packages.ts";

const PYPI = "pypi.org";
/** Where PyPI keeps its files. */
const PYPI_FILES = "files.pythonhosted.org";
const NPM = "registry.npmjs.org";

/** Where a manager's packages come from. An address may hold a password, so it goes to the fetcher alone; a host may be told. */
export interface PackageSource {
  indexes: Record<string, string>;
  hosts: string[];
}

/** As the host's own settings say (package-indexes.ts), else the public index. */
export function packageSource(manager: Manager, settings: Readonly<Record<string, string>>): PackageSource {
  if (manager === "npm") {
    const registry = settings.NPM_CONFIG_REGISTRY;
    return registry === undefined
      ? { indexes: {}, hosts: [NPM] }
      : { indexes: { NPM_CONFIG_REGISTRY: registry }, hosts: hostsOf(registry) };
  }
  const index = settings.UV_DEFAULT_INDEX ?? settings.PIP_INDEX_URL;
  const extra = settings.PIP_EXTRA_INDEX_URL;
  const hosts = [...(index === undefined ? [PYPI] : hostsOf(index)), ...hostsOf(extra ?? "")];
  if (hosts.includes(PYPI)) hosts.push(PYPI_FILES);
  return {
    indexes: { ...(index === undefined ? {} : { PIP_INDEX_URL: index }), ...(extra === undefined ? {} : { PIP_EXTRA_INDEX_URL: extra }) },
    hosts: [...new Set(hosts)],
  };
}

/** Throws where the sandbox may not reach what packages come from, with the flags that would let it. */
export function checkReach(policy: NetworkPolicy, { hosts }: PackageSource): void {
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

function hostsOf(addresses: string): string[] {
  return addresses
    .split(/\s+/)
    .filter((address) => URL.canParse(address))
    .map((address) => new URL(address).hostname)
    .filter((host) => host !== "");
}
