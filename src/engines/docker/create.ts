import { randomBytes } from "node:crypto";
import type { Duplex } from "node:stream";
import type Docker from "dockerode";
import type { ContainerCreateOptions } from "dockerode";
import { KernelboxError } from "../../errors.ts";
import { LIMITS } from "../../limits.ts";
import type { Log } from "../../log.ts";
import { ownCommand } from "../../own-command.ts";
import type { ContainerSpec, StartedContainer } from "../engine.ts";
import { attachContainer } from "./attach.ts";
import type { Connection } from "./connection.ts";
import { endpoint } from "./container-network.ts";
import { containerOptions } from "./container-options.ts";
import { destroyContainer } from "./destroy.ts";
import { answered, cancelledError, engineError, statusOf } from "./errors.ts";

export interface CreateOptions {
  command: string[] | undefined;
  signal: AbortSignal | undefined;
  log: Log;
}

/**
 * Creates, attaches, starts: in this order, so that no byte is lost. A call that was cancelled waits for the engine's answer to the step at hand, since
 * only then the container can be removed for certain.
 */
export async function createContainer(connection: Connection, spec: ContainerSpec, options: CreateOptions): Promise<StartedContainer> {
  const { docker, traits } = connection;
  const { signal, log } = options;
  // The name is chosen here, so that a container whose answer never came can still be found and removed.
  const name = `${spec.name}-${randomBytes(6).toString("hex")}`;
  const settings = containerOptions(spec, name, traits, options.command);
  checkRuntime(spec, traits.runtimes);
  let stream: Duplex | undefined;
  try {
    throwIfCancelled(signal);
    const create = async (asked: ContainerCreateOptions) =>
      await answered("creating a container", () => docker.createContainer(asked), {
        onLate: () => void remove(connection, name, log),
      });
    const container = await create(settings)
      .catch((error) => {
        if (!isQuotaRefusal(error)) throw error;
        if (traits.hasVolumeQuota)
          log.warn("this engine's storage has no quotas for volumes: the workspace of a sandbox has no size bound, only its files have");
        traits.hasVolumeQuota = false;
        return create(containerOptions(spec, name, traits, options.command));
      })
      .catch((error) => {
        throw createError(error);
      });
    throwIfCancelled(signal);
    await joinNetwork(docker, spec, container.id);
    stream = await attachContainer(container);
    throwIfCancelled(signal);
    await answered("starting a container", () => container.start(), { deadlineMs: LIMITS.createMs }).catch((error) => {
      throw startError(error);
    });
    throwIfCancelled(signal);
    return { containerId: container.id, stream, isWorkspaceBounded: spec.workspaceOn !== "volume" || traits.hasVolumeQuota };
  } catch (error) {
    stream?.destroy();
    await remove(connection, name, log);
    throw engineError(error, "starting a container");
  }
}

/** A container is made in one network, and put into its other one before it starts. */
async function joinNetwork(docker: Docker, { network }: ContainerSpec, containerId: string): Promise<void> {
  if (!network?.hasEgress) return;
  const options = { Container: containerId, EndpointConfig: endpoint(network) };
  await answered("joining a network", () => docker.getNetwork(network.networkId).connect(options)).catch((error) => {
    throw networkError(error);
  });
}

async function remove({ docker }: Connection, name: string, log: Log): Promise<void> {
  await destroyContainer(docker, name).catch((error) =>
    log.error({ err: error, name }, "a container that did not start could not be removed"),
  );
}

function throwIfCancelled(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw cancelledError(signal.reason);
}

function checkRuntime(spec: ContainerSpec, runtimes: string[]): void {
  // An engine that does not tell its runtimes is asked to try.
  if (spec.runtime === undefined || runtimes.length === 0 || runtimes.includes(spec.runtime)) return;
  // containerd's shims are named by their full type and are not among those that an engine lists.
  if (spec.runtime.startsWith("io.containerd.")) return;
  throw new KernelboxError(
    "unsupported",
    "The Docker engine does not have the runtime that --runtime names.",
    "Install it and add it to the engine's daemon.json, or leave --runtime out.",
    { details: { runtime: spec.runtime, runtimes } },
  );
}

/** Bounded volumes need xfs with project quotas; an engine without says so in its own words only. */
function isQuotaRefusal(error: KernelboxError): boolean {
  return String(error.details?.engine_message).includes("no quota support");
}

function createError(thrown: unknown): KernelboxError {
  const error = engineError(thrown, "creating a container");
  if (statusOf(error) !== 404) return error;
  return inOtherWords(
    error,
    "The Docker engine does not have the image that the sandbox is made from.",
    `Build it: ${ownCommand("setup")}. Or pull the one that --image names.`,
  );
}

/** An engine answers 400 or 404 where the image lacks the program, which says nothing of the caller's input. */
function startError(thrown: unknown): KernelboxError {
  const error = engineError(thrown, "starting a container");
  if (![400, 403, 404, 500].includes(statusOf(error))) return error;
  if (/network/i.test(String(error.details?.engine_message))) return networkError(error);
  if (statusOf(error) === 403) return error;
  return inOtherWords(
    error,
    "The Docker engine could not start the container.",
    `Its reason is in the details. An image of your own must be built from Kernelbox's Dockerfile. Look at everything: ${ownCommand("doctor")}`,
  );
}

function networkError(error: KernelboxError): KernelboxError {
  return inOtherWords(
    error,
    "The Docker engine could not put the container into its network.",
    `Its reason is in the details. An engine that makes bridge networks is needed, or leave out --network. Look at everything: ${ownCommand("doctor")}`,
  );
}

function inOtherWords(error: KernelboxError, message: string, hint: string): KernelboxError {
  return new KernelboxError("engine_unavailable", message, hint, { cause: error.cause, details: { ...error.details } });
}
