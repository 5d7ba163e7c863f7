import { execFile } from "node:child_process";
import { parse } from "node:path";
import { promisify } from "node:util";
import { LIMITS } from "./limits.ts";

/** Settings of the host that decide where packages come from. */
const VARIABLES = ["UV_DEFAULT_INDEX", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"];

/**
 * Build arguments for where packages come from: as the environment says, and where it names no index, as pip's own configuration does. Many machines
 * behind a company's mirror have it there alone. uv's configuration is not read.
 */
export async function packageIndexes(
  env: NodeJS.ProcessEnv = process.env,
  pip: () => Promise<string> = listPipSettings,
): Promise<Record<string, string>> {
  const indexes: Record<string, string> = {};
  for (const name of VARIABLES) {
    // Proxies are often set in small letters only; the other names have no such form.
    const value = env[name] ?? (name.endsWith("_PROXY") ? env[name.toLowerCase()] : undefined);
    if (value !== undefined && value !== "") indexes[name] = value;
  }
  if (indexes.UV_DEFAULT_INDEX !== undefined || indexes.PIP_INDEX_URL !== undefined) return indexes;
  return { ...indexesOf(await pip()), ...indexes };
}

/** The same for npm packages, which no image is built from. */
export function npmRegistry(env: NodeJS.ProcessEnv = process.env): Record<string, string> {
  const registry = env.NPM_CONFIG_REGISTRY ?? env.npm_config_registry ?? "";
  return isReachable(registry) ? { NPM_CONFIG_REGISTRY: registry } : {};
}

const INDEX_LINE = /^(global|install)\.(index-url|extra-index-url)=['"](.*)['"]$/;

/** The indexes of a listing by `pip config list`: a line `section.name='value'` each, the value as Python writes it. */
function indexesOf(listing: string): Record<string, string> {
  const indexes: Record<string, string> = {};
  const lines = listing.split("\n").map((line) => INDEX_LINE.exec(line.trim()));
  // What holds for `pip install` alone goes before what holds for all commands.
  for (const wanted of ["global", "install"]) {
    for (const [, section, name, value = ""] of lines.filter((line) => line !== null)) {
      const addresses = value.split(/\\n|\s+/).filter(isReachable);
      if (section !== wanted || addresses.length === 0) continue;
      indexes[name === "index-url" ? "PIP_INDEX_URL" : "PIP_EXTRA_INDEX_URL"] = addresses.join(" ");
    }
  }
  return indexes;
}

/** A folder of the host and the host's own loopback are not there in a build. */
function isReachable(address: string): boolean {
  const url = URL.canParse(address) ? new URL(address) : undefined;
  return url !== undefined && /^https?:$/.test(url.protocol) && !/^(localhost|127\..*|\[::1\])$/.test(url.hostname);
}

/** Nothing where there is no pip, or none that answers soon. */
async function listPipSettings(): Promise<string> {
  // Python looks for modules in its working directory first, and ours may be one that an agent writes into.
  const options = { timeout: LIMITS.pipSettingsMs, cwd: parse(process.execPath).root };
  const list = promisify(execFile)("python3", ["-m", "pip", "config", "list"], options);
  return await list.then(
    ({ stdout }) => stdout,
    () => "",
  );
}
