import { hostname } from "node:os";
import type Docker from "dockerode";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { FLAGS } from "../../src/config.ts";
import { VERSION } from "../../src/version.ts";
import { startClient, TEST_IMAGE, type TestClient } from "../helpers/client.ts";
import { kernelbox } from "../helpers/command.ts";
import { docker, eventually, guardAgainstLeaks, ourContainerInfos } from "../helpers/containers.ts";

guardAgainstLeaks();

describe("the command line", () => {
  it("prints its version, and every flag with its variable and default", async () => {
    expect((await kernelbox(["--version"])).stdout.trim()).toBe(VERSION);
    const { stdout } = await kernelbox(["--help"]);
    const words = stdout.replace(/\s+/g, " ");
    for (const { flag, variable } of FLAGS) {
      expect(words).toContain(flag);
      expect(words).toContain(variable);
    }
  });

  it("refuses what it does not know, and says what it does", async () => {
    expect(await kernelbox(["docter"])).toMatchObject({ code: 1, stderr: expect.stringContaining("doctor") });
    expect(await kernelbox(["--imagee", "x"])).toMatchObject({ code: 1, stderr: expect.stringContaining("--image") });
    expect(await kernelbox(["--memory", "much"])).toMatchObject({ code: 1, stderr: expect.stringContaining("--memory") });
  });

  it("setup: says at once that the image is there", async () => {
    const startedAt = Date.now();
    const { code, stdout } = await kernelbox(["setup", "--image", TEST_IMAGE]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/is there|nothing to build/);
    expect(Date.now() - startedAt).toBeLessThan(5_000);
  });
});

describe("reap", () => {
  let living: TestClient;
  beforeAll(async () => {
    living = await startClient();
    await living.run("x = 1");
  });
  afterAll(async () => await living.close());

  it("removes what has ended elsewhere", async () => {
    const labels = { "kernelbox.owner": "0123456789abcdef", "kernelbox.host": "elsewhere" };
    const [ended, young] = await Promise.all([made(labels), made(labels)]);
    await ended.start();
    await eventually(
      async () => (await ended.inspect()).State.Status,
      (status) => status === "exited",
      10_000,
    );
    expect((await kernelbox(["reap"])).stdout).toMatch(/^\d+ containers removed\n$/);
    // Its server cannot be asked, and may be about to ask how it ended.
    expect(await isThere(ended)).toBe(true);
    await new Promise((resolve) => setTimeout(resolve, 10_000));
    await kernelbox(["reap"]);
    expect(await isThere(ended)).toBe(false);
    // Its server cannot be asked, and may be about to start it.
    expect(await isThere(young)).toBe(true);
    await young.remove({ force: true });
    expect((await living.run("x")).structured.result).toBe("1");
  });

  it("removes at once what a server of this host left when it was killed, also what it had made and not started yet", async () => {
    const [hers] = await ourContainerInfos();
    const killed = await startClient(undefined, ["--lease", "600"]);
    await killed.run("1");
    const his = (await ourContainerInfos()).find(({ Id }) => Id !== hers?.Id);
    const labelled = (owner: string | undefined) => made({ "kernelbox.owner": owner ?? "", "kernelbox.host": hostname() });
    const [herNext, hisNext] = await Promise.all([labelled(hers?.Labels["kernelbox.owner"]), labelled(his?.Labels["kernelbox.owner"])]);
    process.kill(killed.pid, "SIGKILL");
    // A server whose folder has changed less than two seconds ago may be about to give its sign of life.
    await new Promise((resolve) => setTimeout(resolve, 2_200));
    const running = docker.getContainer(his?.Id ?? "");
    expect((await running.inspect()).State.Running).toBe(true);
    await kernelbox(["reap"]);
    expect([await isThere(running), await isThere(hisNext), await isThere(herNext)]).toEqual([false, false, true]);
    await herNext.remove({ force: true });
    expect((await living.run("x")).structured.result).toBe("1");
    await killed.close().catch(() => {});
  });
});

/** A container that was made and not started, from the image of one that runs. */
async function made(labels: Record<string, string>) {
  const [running] = await ourContainerInfos();
  return await docker.createContainer({ Image: running?.ImageID ?? "", Labels: labels, Entrypoint: ["/bin/true"] });
}

async function isThere(container: Docker.Container): Promise<boolean> {
  return await container.inspect().then(
    () => true,
    () => false,
  );
}

describe("a missing image", () => {
  it("is built in the background; meanwhile calls say how far it is and when to try again", async () => {
    const { createDockerEngine } = await import("../../src/engines/docker/index.ts");
    const { createLog } = await import("../../src/log.ts");
    const ref = await createDockerEngine({ log: createLog("silent") }).images.refOf("core");
    await docker
      .getImage(ref)
      .remove()
      .catch(() => {});
    await using client = await startClient(undefined, ["--image", "core"]);
    const first = await client.run("1");
    expect(first.error).toMatchObject({
      code: "engine_unavailable",
      message: expect.stringMatching(/being built: \d+ %/),
      details: { percent: expect.any(Number), retry_after_s: expect.any(Number) },
    });
    const built = await eventually(
      async () => await client.run("import numpy, pandas, matplotlib\n6 * 7"),
      (reply) => !reply.isError,
      110_000,
    );
    expect(built.structured.result).toBe("42");
  });
});
