import type Docker from "dockerode";
import type { ContainerSummary } from "../engine.ts";
import { answered } from "./errors.ts";

/** Every container of ours bears it, whichever server made it. */
export const OWNER_LABEL = "kernelbox.owner";

export async function listContainers(docker: Docker): Promise<ContainerSummary[]> {
  const options = { all: true, filters: { label: [OWNER_LABEL] } };
  const containers = await answered("listing containers", (abortSignal) => docker.listContainers({ ...options, abortSignal }));
  const summaries = containers.map(async (container) => ({
    containerId: container.Id,
    state: stateOf(container.State),
    labels: container.Labels,
    createdAt: new Date(container.Created * 1_000),
    endedAt: stateOf(container.State) === "exited" ? await endOf(docker, container.Id) : undefined,
  }));
  return await Promise.all(summaries);
}

/** A list tells the end in words for people only. One that was removed in between has no time of it any more. */
async function endOf(docker: Docker, containerId: string): Promise<Date | undefined> {
  const inspect = (abortSignal: AbortSignal) => docker.getContainer(containerId).inspect({ abortSignal });
  const container = await answered("inspecting a container", inspect).catch(() => undefined);
  const endedAt = new Date(container?.State.FinishedAt ?? "");
  return Number.isNaN(endedAt.getTime()) ? undefined : endedAt;
}

function stateOf(state: string): ContainerSummary["state"] {
  if (state === "created") return "created";
  // A paused one holds its memory and can go on; a container that is being removed, or could not be (dead), has ended.
  return ["running", "paused", "restarting"].includes(state) ? "running" : "exited";
}
