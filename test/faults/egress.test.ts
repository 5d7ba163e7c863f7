import { afterEach, expect, it, vi } from "vitest";
import type { Engine } from "../../src/engines/engine.ts";
import { LIMITS } from "../../src/limits.ts";
import { Egress } from "../../src/sandboxes/egress.ts";
import { guardAgainstLeaks, ourContainerInfos, ourNetworks, TEST_LABELS } from "../helpers/containers.ts";
import { dockerEngine } from "../helpers/docker.ts";
import { log, testImage } from "../helpers/sandbox.ts";

guardAgainstLeaks();
afterEach(() => void vi.useRealTimers());

// Networks and containers are listed by the label of an owner, which no server bears here.
const labels = { ...TEST_LABELS, "kernelbox.owner": "none" };

async function opened(engine: Engine) {
  const notices: string[] = [];
  const spec = { name: "kernelbox-test", image: await testImage(engine), labels };
  const policy = { mode: "open", hosts: [] } as const;
  const egress = await Egress.open({ engine, policy, spec, log, onTrouble: (notice) => notices.push(notice) }, AbortSignal.timeout(60_000));
  await egress.ready;
  return { egress, notices };
}

const proxies = async () => (await ourContainerInfos()).filter(({ State }) => State === "running").map(({ Id }) => Id);

it("a proxy is replaced when its host has another public address, and not for a private one", async () => {
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
  let addresses = ["127.0.0.1", "203.0.113.7"];
  const { egress, notices } = await opened({ ...dockerEngine(), hostAddresses: async () => addresses });
  const first = await proxies();
  expect(first).toHaveLength(1);
  addresses = [...addresses, "172.31.0.1", "fe80::1", "fd00::7"];
  await vi.advanceTimersByTimeAsync(LIMITS.egress.addressesMs);
  expect(await proxies()).toEqual(first);
  addresses = [...addresses, "2a00::7"];
  await vi.advanceTimersByTimeAsync(LIMITS.egress.addressesMs);
  await expect.poll(async () => (await proxies()).filter((id) => !first.includes(id))).toHaveLength(1);
  expect(notices).toEqual([expect.stringContaining("no network for a moment")]);
  await egress.close();
});

it("what the engine does not remove at once is removed by the next try", async () => {
  const engine = dockerEngine();
  let refusals = 0;
  const { egress } = await opened({
    ...engine,
    destroy: async (containerId) => {
      if (refusals++ < 2) throw new Error("device or resource busy");
      await engine.destroy(containerId);
    },
  });
  await expect(egress.close()).rejects.toThrow("busy");
  expect(await ourNetworks()).toHaveLength(1);
  await egress.close();
  expect(await ourNetworks()).toEqual([]);
  expect(await ourContainerInfos()).toEqual([]);
});

it("a proxy that cannot start is an error, and nothing for a sandbox to be told of", async () => {
  const engine = dockerEngine();
  const notices: string[] = [];
  const spec = { name: "kernelbox-test", image: "kernelbox/sandbox:never-was", labels };
  const policy = { mode: "open", hosts: [] } as const;
  const egress = await Egress.open({ engine, policy, spec, log, onTrouble: (notice) => notices.push(notice) }, AbortSignal.timeout(60_000));
  await expect(egress.ready).rejects.toMatchObject({ code: "engine_unavailable", message: expect.stringContaining("image") });
  await egress.close();
  expect(notices).toEqual([]);
});
