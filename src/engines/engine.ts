import type { Duplex } from "node:stream";

/**
 * Where containers run. An engine makes containers, hands out their one byte stream, tells what became of them and removes them. It knows
 * nothing of kernels, executions or events; test/contract/engine.contract.ts is what any engine must pass.
 */
export interface Engine {
  readonly name: string;
  readonly capabilities: EngineCapabilities;
  readonly images: Images;

  /** Asks the engine who it is. `engine_unavailable` with the exact mend where it does not answer. */
  info(): Promise<EngineInfo>;

  /** Makes, attaches (before the start, so that no byte is lost) and starts one container. On failure nothing is left of it. */
  create(spec: ContainerSpec, signal?: AbortSignal): Promise<StartedContainer>;

  /** A network whose containers reach each other and nothing else: neither the host nor a way out. On failure nothing is left of it. */
  createNetwork(spec: NetworkSpec, signal?: AbortSignal): Promise<CreatedNetwork>;

  /** All networks that bear our owner label. */
  listNetworks(): Promise<NetworkSummary[]>;

  /** Fine when it is gone already. Waits for the last of its containers to be gone; `busy` where one stays. */
  removeNetwork(networkId: string): Promise<void>;

  /** The addresses of the machine that its containers run on, as far as they can be told from here. */
  hostAddresses(): Promise<string[]>;

  /** A new stream to a running container. `not_found` where there is none. */
  attach(containerId: string): Promise<Duplex>;

  /** All containers that bear our owner label, also ended ones. */
  list(): Promise<ContainerSummary[]>;

  /** Kills and removes, with its volumes. Fine when it is gone already. Never needs the supervisor's help. */
  destroy(containerId: string): Promise<void>;

  /** Calls back when a container of ours ends or runs out of memory. Reconnects by itself, without a gap, until the signal aborts. */
  watch(onEvent: (event: ContainerEvent) => void, signal: AbortSignal): void;
}

export interface EngineCapabilities {
  /** A workspace with a hard size bound. What storage can do may show only when a container is made: false from the first one without. */
  readonly boundedWorkspace: boolean;
  /** A second attach sees a running container's stream. */
  reattach: boolean;
  /** Tells an out-of-memory kill of the container apart from other ends. */
  outOfMemoryEvents: boolean;
}

export interface EngineInfo {
  name: string;
  version: string;
  apiVersion: string;
  /** Where it was found, for people: a socket path or a host. */
  endpoint: string;
  operatingSystem: string;
  architecture: string;
  cpus: number;
  memoryBytes: number;
  cgroupVersion: string;
  seccomp: boolean;
  rootless: boolean;
  runtimes: string[];
  /** What of a sandbox it cannot bound, in our words: memory, processes, processors. Good engines have nothing here. */
  unbounded: string[];
}

export interface ContainerSpec {
  /** Goes into the name, beside a random part; `[a-z0-9-]{1,40}`. */
  name: string;
  image: string;
  labels: Record<string, string>;
  memoryBytes: number;
  workspaceBytes: number;
  /** In memory by default, which is always bounded; a volume is the engine's disk, and goes with its container. */
  workspaceOn?: WorkspaceStorage | undefined;
  cpus: number;
  pids: number;
  /** `runsc`, `kata` or another runtime that the engine knows; the engine's default otherwise. */
  runtime?: string | undefined;
  /** Which of the image's programs it runs. Others than the supervisor, the default, end when the stream that they were made with does. */
  program?: Program | undefined;
  /** None but loopback by default. */
  network?: NetworkMembership | undefined;
  /** More environment variables: constants of ours, nothing of a caller's. */
  env?: Record<string, string> | undefined;
  /** Name of a volume that outlives the container and is mounted at /var/cache/kernelbox; made where there is none. */
  cacheVolume?: string | undefined;
}

export const PROGRAMS = ["supervisor", "egress", "fetcher"] as const;
export type Program = (typeof PROGRAMS)[number];

export interface NetworkMembership {
  networkId: string;
  /** One of the network's own `addresses`. */
  address: string;
  /** Also on the engine's own network, from which the world is reached. */
  hasEgress: boolean;
}

export interface NetworkSpec {
  /** Goes into the name, beside a random part; `[a-z0-9-]{1,40}`. */
  name: string;
  labels: Record<string, string>;
}

export interface CreatedNetwork {
  networkId: string;
  /** Five addresses for its containers. */
  addresses: readonly string[];
}

export interface NetworkSummary {
  networkId: string;
  labels: Record<string, string>;
  createdAt: Date;
  /** Whether a running container is in it. */
  isUsed: boolean;
}

export const WORKSPACE_STORAGES = ["memory", "volume"] as const;
export type WorkspaceStorage = (typeof WORKSPACE_STORAGES)[number];

export interface StartedContainer {
  containerId: string;
  stream: Duplex;
  /** Whether its workspace has the hard size bound that was asked for. */
  isWorkspaceBounded: boolean;
}

export interface ContainerSummary {
  containerId: string;
  state: "created" | "running" | "exited";
  labels: Record<string, string>;
  createdAt: Date;
  /** Of one that has ended; undefined where the engine does not know it. */
  endedAt?: Date | undefined;
}

export type ContainerEvent = { type: "ended"; containerId: string; exitCode: number } | { type: "out_of_memory"; containerId: string };

export const IMAGE_FLAVOURS = ["core", "full", "full-r"] as const;
export type ImageFlavour = (typeof IMAGE_FLAVOURS)[number];

export interface ImageInfo {
  /** What `create` takes. */
  ref: string;
  /** The engine's own name for its content: another one where `ref` has come to mean another image. */
  id: string;
  flavour: string;
  /** Version of the channel protocol that its supervisor speaks. */
  protocol: number;
  /** Content version of what it was built from. */
  version: string;
  languages: string[];
  sizeBytes: number;
}

export interface BuildProgress {
  /** 0 to 100. */
  percent: number;
  /** Our own words for the step that runs. */
  step: string;
}

export interface Images {
  /** The name that this version of Kernelbox gives an image of a flavour: repository and content version. */
  refOf(flavour: ImageFlavour): Promise<string>;
  /** Undefined where the engine has no such image. */
  find(ref: string): Promise<ImageInfo | undefined>;
  /** Builds a flavour from the files that ship with Kernelbox. Deadline: LIMITS.imageBuildMs. */
  build(flavour: ImageFlavour, onProgress: (progress: BuildProgress) => void, signal?: AbortSignal): Promise<ImageInfo>;
}
