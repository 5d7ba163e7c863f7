import type Docker from "dockerode";
import { pino } from "pino";
import { connect } from "../../src/engines/docker/connection.ts";
import { createDockerEngine, type DockerEngineOptions } from "../../src/engines/docker/index.ts";
import type { Engine } from "../../src/engines/engine.ts";

export const silentLog = pino({ level: "silent" });

export function dockerEngine(options: Partial<DockerEngineOptions> = {}): Engine {
  return createDockerEngine({ log: silentLog, ...options });
}

/** The engine's own client, to look at containers from the outside. */
export async function dockerClient(): Promise<Docker> {
  return (await connect(undefined, silentLog)).docker;
}

/** The sandbox image of this checkout, in the flavour that is there; built where none is. KERNELBOX_TEST_IMAGE names another one. */
export async function sandboxImage(): Promise<string> {
  const named = process.env.KERNELBOX_TEST_IMAGE;
  if (named !== undefined && named !== "") return named;
  const { images } = dockerEngine();
  for (const flavour of ["full", "core"] as const) {
    const found = await images.find(await images.refOf(flavour));
    if (found !== undefined) return found.ref;
  }
  return (await images.build("core", () => {})).ref;
}
