import type { Log } from "../../log.ts";
import type { Engine } from "../engine.ts";
import { attachRunningContainer } from "./attach.ts";
import { type Connection, connect, describeEngine } from "./connection.ts";
import { createContainer } from "./create.ts";
import { destroyContainer } from "./destroy.ts";
import type { Surroundings } from "./endpoint.ts";
import { hostAddresses } from "./host-addresses.ts";
import { DockerImages } from "./images.ts";
import { listContainers } from "./list.ts";
import { createNetwork, listNetworks, removeNetwork } from "./networks.ts";
import { Watcher } from "./watch.ts";

export interface DockerEngineOptions {
  log: Log;
  /** In the form of DOCKER_HOST. Left out, the engine is found as Docker's own client finds it. */
  endpoint?: string | undefined;
  /** Runs in place of the image's supervisor. For the contract suite alone, which looks at containers without one. */
  command?: string[] | undefined;
  /** What discovery reads; the host's own by default. For tests. */
  surroundings?: Surroundings | undefined;
}

/** The Docker engine: dockerode is spoken to in this folder only. The engine is looked for at the first use, and again after it was not found. */
export function createDockerEngine(options: DockerEngineOptions): Engine {
  const { log } = options;
  const started = new Set<string>();
  let areWorkspacesBounded = true;
  let found: Promise<Connection> | undefined;
  const connection = (): Promise<Connection> => {
    if (found === undefined) {
      const search = connect(options.endpoint, log, options.surroundings);
      found = search;
      search.catch(() => {
        if (found === search) found = undefined;
      });
    }
    return found;
  };
  const docker = async () => (await connection()).docker;
  const list = async () => await listContainers(await docker());
  return {
    name: "docker",
    capabilities: {
      get boundedWorkspace() {
        return areWorkspacesBounded;
      },
      reattach: true,
      outOfMemoryEvents: true,
    },
    images: new DockerImages(docker, log),
    info: async () => await describeEngine(await connection()),
    create: async (spec, signal) => {
      const container = await createContainer(await connection(), spec, { command: options.command, signal, log });
      started.add(container.containerId);
      areWorkspacesBounded &&= container.isWorkspaceBounded;
      return container;
    },
    createNetwork: async (spec, signal) => await createNetwork(await docker(), spec, signal),
    listNetworks: async () => await listNetworks(await docker()),
    removeNetwork: async (networkId) => await removeNetwork(await docker(), networkId),
    hostAddresses: async () => await hostAddresses((await connection()).endpoint),
    attach: async (containerId) => await attachRunningContainer(await docker(), containerId),
    list,
    destroy: async (containerId) => {
      await destroyContainer(await docker(), containerId);
      started.delete(containerId);
    },
    watch: (onEvent, signal) => void new Watcher({ docker, list, started: () => started }, onEvent, signal, log).run(),
  };
}
