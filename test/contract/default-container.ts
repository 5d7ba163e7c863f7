import { randomBytes } from "node:crypto";
import type Docker from "dockerode";
import { afterAll, beforeAll } from "vitest";
import type { ContainerSpec, Engine } from "../../src/engines/engine.ts";
import { LIMITS } from "../../src/limits.ts";
import { guardAgainstLeaks, TEST_LABELS } from "../helpers/containers.ts";
import { dockerClient, dockerEngine, sandboxImage } from "../helpers/docker.ts";
import { AGENT_COMMAND, Agent } from "./agent.ts";

/** A container as a server makes it by default, with the agent in the supervisor's place. */
export interface DefaultContainer {
  engine: Engine;
  spec: ContainerSpec;
  /** Processors that it has got: an engine refuses more than its host has. */
  cpus: number;
  inspected: Docker.ContainerInspectInfo;
  image: Docker.ImageInspectInfo;
  agent: Agent;
}

/** One for all tests of a file. Its members are there once the tests run. */
export function defaultContainer(): DefaultContainer {
  guardAgainstLeaks();
  const box = { engine: dockerEngine({ command: AGENT_COMMAND }) } as DefaultContainer;
  let containerId = "";

  beforeAll(async () => {
    const { container } = LIMITS;
    box.spec = {
      name: "kernelbox-defaults",
      image: await sandboxImage(),
      labels: { "kernelbox.owner": `defaults-${randomBytes(6).toString("hex")}`, ...TEST_LABELS },
      memoryBytes: container.memoryBytes,
      workspaceBytes: container.workspaceBytes,
      cpus: container.cpus,
      pids: container.pids,
    };
    const started = await box.engine.create(box.spec);
    containerId = started.containerId;
    box.agent = new Agent(started.stream);
    await box.agent.line();
    box.cpus = Math.min(box.spec.cpus, (await box.engine.info()).cpus);
    const docker = await dockerClient();
    box.inspected = await docker.getContainer(containerId).inspect();
    box.image = await docker.getImage(box.spec.image).inspect();
  });

  afterAll(async () => await box.engine.destroy(containerId));
  return box;
}

/** Python: the content of the first file that is there; versions of cgroups have different ones. */
export const FIRST = `
def first(*paths):
    for path in paths:
        try: return open(path).read().strip()
        except OSError: pass`;

/** Python that runs a line of bash as user code would, and replies exit code, output and errors. */
export function shell(line: string): string {
  return `
import subprocess
done = subprocess.run(['/bin/bash', '-c', ${JSON.stringify(line)}], capture_output=True, text=True, cwd='/home/user', env={'HOME': '/home/user', 'PATH': '/opt/py/bin:/usr/bin:/bin'})
reply([done.returncode, done.stdout[-2000:], done.stderr[-2000:]])`;
}

/** The same with a line of Python that has no single quotes. */
export function python(source: string): string {
  return shell(`/opt/py/bin/python -c '${source}'`);
}
