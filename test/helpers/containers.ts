import Docker from "dockerode";
import { afterAll, beforeAll, expect } from "vitest";

const OWNER_LABEL = "kernelbox.owner";
/** Of containers that tests make without a server: nothing that looks for Kernelbox's own sees them. */
export const TEST_LABEL = "kernelbox.test";
let label = OWNER_LABEL;
const docker = new Docker();

/** Containers that were there when the file began: of a person who uses Kernelbox on this machine, say. They are nobody's business here. */
let before = new Set<string>();

/** All containers that bear our label and that this file's tests have made, also ended ones. */
export async function ourContainerInfos(): Promise<Docker.ContainerInfo[]> {
  const containers = await docker.listContainers({ all: true, filters: { label: [label] } });
  return containers.filter(({ Id }) => !before.has(Id));
}

/** Their names and states. */
export async function ourContainers(): Promise<string[]> {
  return (await ourContainerInfos()).map((container) => `${container.Names[0]} ${container.State}`);
}

/** Waits until a condition holds; fails with what it saw last. */
export async function eventually<T>(look: () => Promise<T>, holds: (seen: T) => boolean, withinMs: number): Promise<T> {
  const deadline = Date.now() + withinMs;
  while (true) {
    const seen = await look();
    if (holds(seen)) return seen;
    if (Date.now() > deadline) throw new Error(`Not within ${withinMs} ms; last seen: ${JSON.stringify(seen)}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** Fails the file whose tests left a container behind. */
export function guardAgainstLeaks(ownLabel = OWNER_LABEL): void {
  label = ownLabel;
  beforeAll(async () => {
    before = new Set((await docker.listContainers({ all: true, filters: { label: [label] } })).map(({ Id }) => Id));
  });
  afterAll(async () => {
    const left = await eventually(ourContainers, (containers) => containers.length === 0, 15_000).catch(() => ourContainers());
    expect(left, "containers that these tests left").toEqual([]);
  });
}

export { docker };
