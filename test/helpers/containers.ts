import { randomBytes } from "node:crypto";
import { type FSWatcher, mkdirSync, mkdtempSync, watch } from "node:fs";
import { rm } from "node:fs/promises";
import { hostname, tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import Docker from "dockerode";
import { afterAll, beforeAll, expect } from "vitest";
import { cacheVolumeOf } from "../../src/sandboxes/cache-volume.ts";

const OWNER_LABEL = "kernelbox.owner";
const docker = new Docker();

/**
 * Files run beside each other, and a person may use Kernelbox on this machine meanwhile: each file knows its own containers. Its servers keep
 * their folders in a place of its own, and a folder's name is what their containers bear.
 */
const home = mkdtempSync(join(tmpdir(), "kb-"));
process.env.TMPDIR = home;
const servers = join(home, `kernelbox-${userInfo().username.replace(/[^A-Za-z0-9_-]/g, "_")}`);
const owners = new Set<string>();

/** Where this file's servers keep what they download for the one principal that stdio has: it begins empty, and outlives them. */
export const CACHE_VOLUME = cacheVolumeOf("local", { host: hostname(), root: servers });

/** Of containers that tests make without a server: nothing that looks for Kernelbox's own sees them. */
export const TEST_LABELS = { "kernelbox.test": randomBytes(6).toString("hex") } as const;

/** Whether what bears these labels was made by this file. */
export function isOurs(labels: Record<string, string> | undefined): boolean {
  const own = Object.entries(TEST_LABELS).every(([name, value]) => labels?.[name] === value);
  return own || owners.has(labels?.[OWNER_LABEL] ?? "");
}

/** All containers that this file's tests and servers have made, also ended ones. */
export async function ourContainerInfos(): Promise<Docker.ContainerInfo[]> {
  return (await docker.listContainers({ all: true })).filter(({ Labels }) => isOurs(Labels));
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

/** Names of all networks that this file's servers have made. */
export async function ourNetworks(): Promise<string[]> {
  return (await docker.listNetworks()).filter(({ Labels }) => isOurs(Labels)).map(({ Name }) => Name);
}

/** Fails the file whose tests left a container or a network behind. */
export function guardAgainstLeaks(): void {
  let watcher: FSWatcher;
  beforeAll(() => {
    mkdirSync(servers, { mode: 0o700, recursive: true });
    watcher = watch(servers, (_, name) => owners.add(name ?? ""));
  });
  afterAll(async () => {
    watcher.close();
    const all = async () => [...(await ourContainers()), ...(await ourNetworks())];
    const left = await eventually(all, (seen) => seen.length === 0, 15_000).catch(all);
    await rm(home, { recursive: true, force: true });
    await docker
      .getVolume(CACHE_VOLUME)
      .remove()
      .catch((error) => expect(error).toMatchObject({ statusCode: 404 }));
    expect(left, "containers and networks that these tests left").toEqual([]);
  });
}

export { docker };
