import { mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import type { Engine } from "../../src/engines/engine.ts";
import { LIMITS } from "../../src/limits.ts";
import { sweep } from "../../src/sandboxes/sweep.ts";
import { Owner } from "../../src/store/owner.ts";
import { guardAgainstLeaks, isOurs, TEST_LABELS } from "../helpers/containers.ts";
import { dockerEngine } from "../helpers/docker.ts";
import { log, testImage } from "../helpers/sandbox.ts";

guardAgainstLeaks();

it("removes what dead servers left although one of them resists, and that one the next time", async () => {
  const root = await mkdtemp(join(tmpdir(), "kb-sweep-"));
  const owner = await Owner.start(root);
  const dead = "00000000000000aa";
  await mkdir(join(root, dead));
  const engine = dockerEngine();
  const { container } = LIMITS;
  const make = async () =>
    await engine.create({
      name: "kernelbox-test",
      image: await testImage(engine),
      labels: { "kernelbox.owner": dead, "kernelbox.host": hostname(), ...TEST_LABELS },
      memoryBytes: container.memoryBytes,
      workspaceBytes: container.workspaceBytes,
      cpus: container.cpus,
      pids: container.pids,
    });
  const left = [(await make()).containerId, (await make()).containerId];
  // The folder of a server that is about to listen is young.
  await new Promise((resolve) => setTimeout(resolve, 2_500));
  const ours = async () => (await engine.list()).filter(({ labels }) => isOurs(labels));
  const [first] = await ours();
  const resisting: Engine = {
    ...engine,
    destroy: async (containerId) => {
      if (containerId === first?.containerId) throw new Error("device or resource busy");
      await engine.destroy(containerId);
    },
  };
  expect(await sweep(resisting, owner, log)).toBe(1);
  const after = (await ours()).map(({ containerId }) => containerId);
  expect(left.filter((containerId) => after.includes(containerId))).toEqual([first?.containerId]);
  expect(await sweep(engine, owner, log)).toBe(1);
  expect(await ours()).toEqual([]);
  expect(await readdir(root)).toEqual([owner.id]);
  await owner.close();
  await rm(root, { recursive: true, force: true });
});
