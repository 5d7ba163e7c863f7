import http from "node:http";
import https from "node:https";
import type Docker from "dockerode";
import { KernelboxError } from "../../errors.ts";
import { LIMITS } from "../../limits.ts";
import type { Log } from "../../log.ts";
import type { EngineInfo } from "../engine.ts";
import { candidateEndpoints, type Endpoint, hostSurroundings, type Surroundings } from "./endpoint.ts";
import { answered, engineError, isSilence } from "./errors.ts";
import { namedHint, startHint } from "./start-hint.ts";

/** An engine that answered, and what of it decides how a container is made. */
export interface Connection {
  docker: Docker;
  endpoint: Endpoint;
  traits: EngineTraits;
}

export interface EngineTraits {
  cpus: number;
  cgroupVersion: string;
  runtimes: string[];
  /** Whether its storage bounds a volume; only a refusal tells, so this holds until there was one. */
  hasVolumeQuota: boolean;
}

/** What `docker info` answers, as far as it is read here; older engines and look-alikes leave members out. */
interface EngineAnswer {
  ServerVersion?: string;
  OSType?: string;
  OperatingSystem?: string;
  Architecture?: string;
  NCPU?: number;
  MemTotal?: number;
  CgroupVersion?: string;
  SecurityOptions?: string[];
  Runtimes?: Record<string, unknown>;
  MemoryLimit?: boolean;
  PidsLimit?: boolean;
  CpuCfsQuota?: boolean;
}

/** The first engine that answers. One that does not, or may not be used, is passed over; the failure that helps most is told when none is left. */
export async function connect(named: string | undefined, log: Log, around: Surroundings = hostSurroundings()): Promise<Connection> {
  let failure: KernelboxError | undefined;
  for (const endpoint of candidateEndpoints(named, around)) {
    try {
      const docker = await clientOf(endpoint);
      const answer: EngineAnswer = await answered(`asking at ${endpoint.label}`, () => docker.info(), { deadlineMs: LIMITS.engineProbeMs });
      log.debug({ endpoint: endpoint.label, version: answer.ServerVersion }, "Docker engine found");
      checkLinux(answer);
      warnAboutBounds(answer, log);
      return { docker, endpoint, traits: traitsOf(answer) };
    } catch (error) {
      const seen = engineError(error, `asking at ${endpoint.label}`);
      log.debug({ endpoint: endpoint.label, err: seen }, "no Docker engine here");
      // A socket that is there but forbidden is nearer to a mend than one that is silent.
      if (failure === undefined || isDenied(seen)) failure = isSilence(seen) ? withHint(seen, namedHint(endpoint, around)) : seen;
    }
  }
  throw failure ?? new KernelboxError("engine_unavailable", "No Docker engine was found at any of the usual places.", startHint(around));
}

/** Every member is given: docker-modem fills what is missing from the environment, and would connect to another engine than the one meant. */
async function clientOf({ address }: Endpoint): Promise<Docker> {
  // Loaded here, with SSH and gRPC in its wake: a server answers its host sooner without it.
  const { default: Client } = await import("dockerode");
  const isTls = "host" in address && address.protocol === "https";
  const options = {
    protocol: isTls ? "https" : "http",
    socketPath: undefined,
    host: undefined,
    port: undefined,
    ca: undefined,
    cert: undefined,
    key: undefined,
    pathPrefix: "/",
    headers: {},
    timeout: undefined,
    // No connection is kept for the next call: one that the engine has closed meanwhile would fail it.
    agent: isTls ? new https.Agent({ keepAlive: false }) : new http.Agent({ keepAlive: false }),
    ...address,
  };
  return new Client(options as Docker.DockerOptions);
}

export async function describeEngine({ docker, endpoint }: Connection): Promise<EngineInfo> {
  const [answer, version] = await Promise.all([
    answered<EngineAnswer>("asking the engine who it is", () => docker.info()),
    answered("asking the engine for its version", () => docker.version()),
  ]);
  const traits = traitsOf(answer);
  const security = answer.SecurityOptions ?? [];
  return {
    name: "docker",
    version: version.Version,
    apiVersion: version.ApiVersion,
    endpoint: endpoint.label,
    operatingSystem: answer.OperatingSystem ?? "",
    architecture: answer.Architecture ?? "",
    cpus: traits.cpus,
    memoryBytes: answer.MemTotal ?? 0,
    cgroupVersion: traits.cgroupVersion,
    seccomp: security.some((option) => option.includes("seccomp")),
    rootless: security.some((option) => option.includes("rootless")),
    runtimes: traits.runtimes,
    unbounded: unboundedBy(answer),
  };
}

function traitsOf(answer: EngineAnswer): EngineTraits {
  return {
    cpus: answer.NCPU ?? 1,
    cgroupVersion: answer.CgroupVersion ?? "1",
    runtimes: Object.keys(answer.Runtimes ?? {}),
    hasVolumeQuota: true,
  };
}

function checkLinux({ OSType = "linux" }: EngineAnswer): void {
  if (OSType === "linux") return;
  throw new KernelboxError(
    "unsupported",
    "The Docker engine runs containers of another system than Linux.",
    "Switch Docker Desktop to Linux containers.",
  );
}

/** An engine without these controllers takes the bounds and drops them, so that only its info tells. */
function unboundedBy({ MemoryLimit, PidsLimit, CpuCfsQuota }: EngineAnswer): string[] {
  const bounds = { memory: MemoryLimit, processes: PidsLimit, processors: CpuCfsQuota };
  return Object.entries(bounds).flatMap(([name, isBounded]) => (isBounded === false ? [name] : []));
}

function warnAboutBounds(answer: EngineAnswer, log: Log): void {
  const unbounded = unboundedBy(answer);
  if (unbounded.length > 0)
    log.warn({ unbounded }, "this engine cannot bound what a sandbox uses; rootless engines need cgroup v2 with delegation");
}

function withHint({ code, message, cause, details = {} }: KernelboxError, hint: string): KernelboxError {
  return new KernelboxError(code, message, hint, { cause, details });
}

function isDenied(error: KernelboxError): boolean {
  return typeof error.cause === "object" && error.cause !== null && "code" in error.cause && error.cause.code === "EACCES";
}
