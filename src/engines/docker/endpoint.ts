import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { KernelboxError } from "../../errors.ts";

/** One place where an engine may be. */
export interface Endpoint {
  /** For people: where it is, and who said so. Without credentials. */
  label: string;
  address: SocketAddress | HostAddress;
  /** What named it outright; undefined for one of the usual places. */
  from?: Naming;
}

export type Naming = "--docker-host" | "DOCKER_HOST" | "Docker context";

export interface SocketAddress {
  socketPath: string;
}

export interface HostAddress {
  protocol: "http" | "https";
  host: string;
  port: number;
  ca?: Buffer;
  cert?: Buffer;
  key?: Buffer;
}

/** What discovery reads from its surroundings; tests give their own. */
export interface Surroundings {
  env: NodeJS.ProcessEnv;
  home: string;
  platform: NodeJS.Platform;
  uid: number | undefined;
  exists: (path: string) => boolean;
  readFile: (path: string) => Buffer;
}

export function hostSurroundings(): Surroundings {
  return {
    env: process.env,
    home: homedir(),
    platform: process.platform,
    uid: process.getuid?.(),
    exists: existsSync,
    readFile: (path) => readFileSync(path),
  };
}

/**
 * Where an engine may be, in the order in which Docker's own client looks, then where rootless engines and desktops put their sockets. What was
 * named outright (an option, `DOCKER_HOST`, a context) is the only candidate: another engine than the named one would surprise.
 */
export function candidateEndpoints(named: string | undefined, around: Surroundings): Endpoint[] {
  const { env } = around;
  if (named !== undefined && named !== "") return [endpointOf(named, "--docker-host", around)];
  if (isSet(env.DOCKER_HOST)) return [endpointOf(env.DOCKER_HOST, "DOCKER_HOST", around)];
  const context = currentContext(around);
  if (context !== undefined) return [context];
  return usualSockets(around)
    .filter((path) => around.exists(path))
    .map((socketPath) => ({ label: socketPath, address: { socketPath } }));
}

function usualSockets({ env, home, platform, uid }: Surroundings): string[] {
  if (platform === "win32") return ["//./pipe/docker_engine"];
  const runtime = isSet(env.XDG_RUNTIME_DIR) ? env.XDG_RUNTIME_DIR : uid === undefined ? undefined : `/run/user/${uid}`;
  return [
    "/var/run/docker.sock",
    ...(runtime === undefined ? [] : [join(runtime, "docker.sock")]),
    join(home, ".docker/run/docker.sock"),
    join(home, ".docker/desktop/docker.sock"),
    join(home, ".colima/default/docker.sock"),
    join(home, ".colima/docker.sock"),
    join(home, ".orbstack/run/docker.sock"),
    join(home, ".rd/docker.sock"),
    join(home, ".lima/docker/sock/docker.sock"),
  ];
}

function endpointOf(host: string, from: Naming, around: Surroundings, context?: ContextTls): Endpoint {
  for (const prefix of ["unix://", "npipe://"]) {
    if (host.startsWith(prefix)) return { label: `${host} (${from})`, address: { socketPath: host.slice(prefix.length) }, from };
  }
  if (host.startsWith("/")) return { label: `${host} (${from})`, address: { socketPath: host }, from };
  const url = URL.canParse(host) ? new URL(host) : undefined;
  if (url?.protocol === "ssh:") {
    throw new KernelboxError(
      "unsupported",
      `${from} names an engine behind ssh, which Kernelbox does not speak.`,
      "Forward its socket: ssh -NL /tmp/docker.sock:/var/run/docker.sock user@host, then set DOCKER_HOST=unix:///tmp/docker.sock.",
    );
  }
  if (url === undefined || !["tcp:", "http:", "https:"].includes(url.protocol) || url.hostname === "") {
    throw new KernelboxError(
      "unsupported",
      `${from} names an engine in a form that Kernelbox does not know.`,
      "Use unix:///path/to/docker.sock or tcp://host:port.",
    );
  }
  const isTls = url.protocol === "https:" || (context === undefined ? isSet(around.env.DOCKER_TLS_VERIFY) : context.keys !== undefined);
  return {
    label: `${url.protocol}//${url.host} (${from})`,
    from,
    address: {
      protocol: isTls ? "https" : "http",
      host: url.hostname.replace(/^\[|\]$/g, ""),
      port: Number(url.port || (isTls ? 2376 : 2375)),
      ...(isTls ? (context?.keys ?? keysIn(around.env.DOCKER_CERT_PATH ?? configFolder(around), around)) : {}),
    },
  };
}

interface ContextTls {
  keys: Keys | undefined;
}

interface Keys {
  ca: Buffer;
  cert: Buffer;
  key: Buffer;
}

function keysIn(folder: string, { readFile }: Surroundings): Keys {
  const read = (name: string) => {
    try {
      return readFile(join(folder, name));
    } catch (cause) {
      throw new KernelboxError(
        "engine_unavailable",
        `The Docker engine is to be reached with TLS, but ${join(folder, name)} cannot be read.`,
        "Name the folder with ca.pem, cert.pem and key.pem in DOCKER_CERT_PATH, or unset DOCKER_TLS_VERIFY.",
        { cause },
      );
    }
  };
  return { ca: read("ca.pem"), cert: read("cert.pem"), key: read("key.pem") };
}

/** The context that `docker context use` chose; what describes it lies in folders named after the hash of its name. */
function currentContext(around: Surroundings): Endpoint | undefined {
  const config = configFolder(around);
  const name = isSet(around.env.DOCKER_CONTEXT) ? around.env.DOCKER_CONTEXT : readJson(join(config, "config.json"), around)?.currentContext;
  if (typeof name !== "string" || name === "" || name === "default") return undefined;
  const hash = createHash("sha256").update(name).digest("hex");
  const endpoints = readJson(join(config, "contexts", "meta", hash, "meta.json"), around)?.Endpoints as
    | { docker?: { Host?: unknown } }
    | undefined;
  const host = endpoints?.docker?.Host;
  if (typeof host !== "string" || host === "") {
    throw new KernelboxError(
      "engine_unavailable",
      `Docker's current context has no description beneath ${join(config, "contexts")}.`,
      "Choose another one: docker context use default.",
      { details: { context: name } },
    );
  }
  const tls = join(config, "contexts", "tls", hash, "docker");
  return endpointOf(host, "Docker context", around, { keys: around.exists(join(tls, "ca.pem")) ? keysIn(tls, around) : undefined });
}

function configFolder({ env, home }: Surroundings): string {
  return isSet(env.DOCKER_CONFIG) ? env.DOCKER_CONFIG : join(home, ".docker");
}

function readJson(path: string, { readFile }: Surroundings): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(readFile(path).toString("utf8"));
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

function isSet(value: string | undefined): value is string {
  return value !== undefined && value !== "";
}
