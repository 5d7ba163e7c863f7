import { randomBytes } from "node:crypto";
import { afterEach, beforeAll, describe, expect, test } from "vitest";
import type { ContainerSpec } from "../../src/engines/engine.ts";
import { eventually, guardAgainstLeaks, TEST_LABELS } from "../helpers/containers.ts";
import { dockerClient, dockerEngine, sandboxImage } from "../helpers/docker.ts";
import { AGENT_COMMAND, Agent } from "./agent.ts";

guardAgainstLeaks();

const MiB = 1024 * 1024;

describe("a workspace on a volume", () => {
  const owner = `volumes-${randomBytes(6).toString("hex")}`;
  const engine = dockerEngine({ command: AGENT_COMMAND });
  let image = "";
  const ids: string[] = [];

  beforeAll(async () => {
    image = await sandboxImage();
  });
  afterEach(async () => await Promise.all(ids.splice(0).map((id) => engine.destroy(id))));

  async function start(members: Partial<ContainerSpec> = {}) {
    const bounds = { memoryBytes: 256 * MiB, workspaceBytes: 300 * MiB, cpus: 1, pids: 64 };
    const labels = { "kernelbox.owner": owner, ...TEST_LABELS };
    const container = await engine.create({ name: "kernelbox-volume", image, labels, workspaceOn: "volume", ...bounds, ...members });
    ids.push(container.containerId);
    const agent = new Agent(container.stream);
    await agent.line();
    return { ...container, agent };
  }

  /** Found by the label that each volume of ours has from its container. */
  const volumes = async () => {
    const docker = await dockerClient();
    return (await docker.listVolumes({ filters: { label: [`kernelbox.owner=${owner}`] } })).Volumes.map(({ Name }) => Name);
  };

  test("is the user's own folder as in memory: mode 0700, programs run from it, and nothing else is in it", async () => {
    const { agent } = await start();
    const seen = await agent.ask(`
import subprocess
found = os.stat('/home/user')
open('/home/user/run', 'w').write('#!/bin/sh\\necho ran')
os.chmod('/home/user/run', 0o700)
mount = next(line.split() for line in open('/proc/mounts') if line.split()[1] == '/home/user')
reply([oct(found.st_mode & 0o7777), found.st_uid, found.st_gid, subprocess.run(['/home/user/run'], capture_output=True, text=True).stdout, os.listdir('/home/user'), mount[2] == 'tmpfs'])`);
    expect(seen).toEqual(["0o700", 1000, 1000, "ran\n", ["run"], false]);
    expect(await volumes()).toHaveLength(1);
  });

  test("holds more than the memory of its container, and no file over the bound", async () => {
    const { agent } = await start({ memoryBytes: 128 * MiB });
    const seen = await agent.ask(`
import errno
written = 0
try:
    with open('/home/user/big', 'wb', buffering=0) as f:
        while True: written += f.write(bytes(1 << 20))
except OSError as e: reply([errno.errorcode[e.errno] in ('EFBIG', 'ENOSPC', 'EDQUOT'), written >> 20])`);
    expect(seen).toEqual([true, 300]);
  });

  test("has the hard bound that the engine says it has", async () => {
    const { agent, isWorkspaceBounded } = await start({ workspaceBytes: 32 * MiB });
    expect(engine.capabilities.boundedWorkspace).toBe(isWorkspaceBounded);
    const whole = await agent.ask(`
try:
    for n in range(4):
        with open(f'/home/user/{n}', 'wb', buffering=0) as f: f.write(bytes(30 << 20))
    reply(True)
except OSError: reply(False)`);
    expect(whole).toBe(!isWorkspaceBounded);
  });

  test("is removed with its container, whether that is destroyed or ends by itself", async () => {
    const first = await start();
    const second = await start();
    expect(await volumes()).toHaveLength(2);
    await engine.destroy(first.containerId);
    expect(await volumes()).toHaveLength(1);
    second.agent.tell("os._exit(75)");
    await eventually(volumes, (left) => left.length === 0, 10_000);
  });
});
