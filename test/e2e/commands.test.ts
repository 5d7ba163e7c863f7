import { describe, expect, it } from "vitest";
import { FLAGS } from "../../src/config.ts";
import { VERSION } from "../../src/version.ts";
import { startClient, TEST_IMAGE } from "../helpers/client.ts";
import { kernelbox } from "../helpers/command.ts";
import { docker, eventually, guardAgainstLeaks } from "../helpers/containers.ts";

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

  it("reap: removes what a dead server left, and nothing of a living one", async () => {
    await using living = await startClient();
    await living.run("x = 1");
    const left = await docker.createContainer({
      Image: (await docker.listContainers({ filters: { label: ["kernelbox.owner"] } }))[0]?.ImageID,
      Labels: { "kernelbox.owner": "0123456789abcdef", "kernelbox.host": "elsewhere" },
      Entrypoint: ["/bin/true"],
    });
    await left.start();
    await eventually(
      async () => (await left.inspect()).State.Status,
      (status) => status === "exited",
      10_000,
    );
    expect((await kernelbox(["reap"])).stdout).toContain("1 containers removed");
    expect((await living.run("x")).structured.result).toBe("1");
  });
});

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
