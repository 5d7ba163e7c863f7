import { randomBytes } from "node:crypto";
import type Docker from "dockerode";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type BuildCallbacks, type BuildPlan, runBuild } from "../../src/engines/docker/build.ts";
import { contextArchive, contextFiles } from "../../src/engines/docker/build-context.ts";
import { keepBuildCache, removeOlderImages } from "../../src/engines/docker/build-leftovers.ts";
import { buildLines } from "../../src/engines/docker/build-line.ts";
import type { BuildProgress } from "../../src/engines/engine.ts";
import { dockerClient, dockerEngine, sandboxImage, silentLog } from "../helpers/docker.ts";

describe("docker images", () => {
  const repository = `kernelbox/contract-${randomBytes(4).toString("hex")}`;
  const flavour = repository.slice("kernelbox/".length);
  const images = dockerEngine().images;
  let docker: Docker;
  let base = "";

  beforeAll(async () => {
    docker = await dockerClient();
    base = await sandboxImage();
  });

  const tags = async () => (await docker.listImages()).flatMap((image) => image.RepoTags ?? []).filter((tag) => tag.includes(flavour));

  /** Images without a name that builds of this file left. */
  const dangling = async () =>
    (await docker.listImages({ filters: { dangling: ["true"], label: [`contract=${flavour}`] } })).map(({ Id }) => Id);

  afterAll(async () => {
    for (const tag of await tags()) await docker.getImage(tag).remove({ force: true });
    for (const id of await dangling()) await docker.getImage(id).remove();
  });

  /** A Dockerfile of two stages, without a network. */
  const plan = (tag: string, lines: string[]): BuildPlan => ({
    ref: `${repository}:${tag}`,
    flavour: "core",
    base,
    version: tag,
    indexes: { PIP_INDEX_URL: "https://packages.example/simple" },
    files: [
      {
        path: "Dockerfile",
        bytes: Buffer.from(
          [
            "ARG BASE",
            "FROM $BASE AS first",
            `LABEL contract=${flavour} marker=${tag}`,
            "FROM first AS core",
            "ARG PROTOCOL",
            "ARG VERSION",
            "ARG PIP_INDEX_URL",
            ...lines,
          ].join("\n"),
        ),
      },
      { path: "certs/.gitkeep", bytes: Buffer.alloc(0) },
      { path: "hello.txt", bytes: Buffer.from("hello") },
    ],
  });

  function callbacks(signal = new AbortController().signal) {
    const progress: BuildProgress[] = [];
    const stages: string[] = [];
    const given: BuildCallbacks = { onProgress: (step) => progress.push(step), onStage: (id) => stages.push(id), signal };
    return { progress, stages, given };
  }

  test("a build tells its progress and its stages, and what it makes is found with its labels", async () => {
    const { progress, stages, given } = callbacks();
    const label =
      'LABEL kernelbox.protocol=$PROTOCOL kernelbox.version="$VERSION" kernelbox.flavour="core" kernelbox.languages="python,bash" index="$PIP_INDEX_URL"';
    await runBuild(docker, plan("one", ["COPY hello.txt /hello.txt", label]), given);
    const percents = progress.map(({ percent }) => percent);
    expect(percents.length).toBeGreaterThan(5);
    for (const [index, percent] of percents.entries()) expect(percent, `step ${index + 1}`).toBeGreaterThan(percents[index - 1] ?? 0);
    expect(percents.at(-1)).toBeGreaterThan(60);
    expect(percents.at(-1)).toBeLessThan(100);
    expect(progress[0]?.step).toMatch(/^step 1 of \d+, ARG$/);
    expect(stages).toHaveLength(2);
    const found = await images.find(`${repository}:one`);
    expect(found).toMatchObject({ ref: `${repository}:one`, flavour: "core", protocol: 1, version: "one", languages: ["python", "bash"] });
    const { Config } = await docker.getImage(`${repository}:one`).inspect();
    expect(Config.Labels.index).toBe("https://packages.example/simple");
    expect(found?.sizeBytes).toBeGreaterThan(1_000_000);
  });

  test("BuildKit reads the sandbox image's Dockerfile to its end, and builds from it", async ({ skip }) => {
    const files = await contextFiles();
    /** With one more stage, so that nothing is fetched: the stages before it are read and not built. */
    const built = async (more: string): Promise<string> => {
      const changed = files.map(({ path, bytes }) => ({ path, bytes: path === "Dockerfile" ? Buffer.from(`${bytes}\n${more}`) : bytes }));
      const options = { t: `${repository}:kit`, target: "last", version: "2" as const, buildargs: { BASE: base } };
      const stream = await docker.buildImage(contextArchive(changed) as unknown as NodeJS.ReadableStream, options);
      let said = "";
      for await (const { error = "", stream: line = "" } of buildLines(stream, AbortSignal.timeout(60_000))) said += error + line;
      return said;
    };
    const last = `FROM $BASE AS last\nLABEL contract=${flavour}\nCOPY sandbox/kernelbox /copied\n`;
    const said = await built(last);
    skip(/not supported|unsupported/i.test(said), `this engine has no BuildKit: ${said}`);
    expect(said).toMatch(/Successfully tagged/);
    expect(await built(`FROM full AS other\nNONSENSE\n${last}`)).toMatch(/unknown instruction: NONSENSE/i);
  });

  test("a step that fails is an error in our words; what the build said is in the details, bounded", async () => {
    const { given } = callbacks();
    const failing = "USER 0\nRUN echo MARK-OF-THE-BUILD; i=0; while [ $i -lt 3000 ]; do echo 0123456789; i=$((i+1)); done; exit 3";
    const error = await runBuild(docker, plan("failing", failing.split("\n")), given).catch((thrown) => thrown);
    expect(error).toMatchObject({ code: "engine_unavailable", hint: expect.stringContaining("kernelbox setup") });
    expect(error.message).toMatch(/^The sandbox image could not be built: a step failed \(step \d+ of \d+, RUN\)\.$/);
    expect(error.details.output).toContain("returned a non-zero code: 3");
    expect(error.details.output.length).toBeLessThanOrEqual(4_000);
    expect(await images.find(`${repository}:failing`)).toBeUndefined();
  });

  test("a Dockerfile that the engine cannot read, and an unknown stage, are errors too", async () => {
    const { given } = callbacks();
    await expect(runBuild(docker, plan("bad", ["NONSENSE here"]), given)).rejects.toMatchObject({ code: "engine_unavailable" });
    await expect(runBuild(docker, { ...plan("bad", []), flavour: "full" }, given)).rejects.toMatchObject({ code: "engine_unavailable" });
  });

  test("a build that is cancelled ends soon and leaves no container", async () => {
    const controller = new AbortController();
    const { given, progress } = callbacks(controller.signal);
    const building = runBuild(docker, plan("slow", [`RUN sleep 61.${Date.now() % 1_000}`]), given).catch((thrown) => thrown);
    await expect.poll(() => progress.some(({ step }) => step.endsWith("RUN"))).toBe(true);
    await new Promise((resolve) => setTimeout(resolve, 500));
    const startedAt = performance.now();
    controller.abort();
    expect(await building).toMatchObject({ code: "cancelled" });
    // Long before the step would have ended, on a busy machine too.
    expect(performance.now() - startedAt).toBeLessThan(20_000);
    const sleeping = async () => (await docker.listContainers({ all: true })).filter(({ Command }) => Command.includes("sleep 61."));
    await expect.poll(sleeping, { timeout: 20_000 }).toEqual([]);
  });

  test("a build that takes too long is given up at its deadline, and says in which step", async () => {
    const { given } = callbacks();
    const startedAt = performance.now();
    const error = await runBuild(docker, plan("late", ["USER 0", `RUN sleep 62.${Date.now() % 1_000}`]), given, 3_000).catch(
      (thrown) => thrown,
    );
    expect(error).toMatchObject({
      code: "engine_unavailable",
      message: expect.stringMatching(/could not be built: it took more than 3 s \(step \d+ of \d+, RUN\)/),
    });
    expect(performance.now() - startedAt).toBeLessThan(3_000 + 20_000);
    const sleeping = async () => (await docker.listContainers({ all: true })).filter(({ Command }) => Command.includes("sleep 62."));
    await expect.poll(sleeping, { timeout: 20_000 }).toEqual([]);
  });

  test("however often a changed file is built, one generation of stages and one image stay", async () => {
    const danglingBefore = await dangling();
    // Of a flavour whose name begins alike.
    await runBuild(docker, plan("x-r-g0", ["COPY hello.txt /hello.txt"]), callbacks().given);
    for (const generation of ["g1", "g2", "g3"]) {
      const { stages, given } = callbacks();
      await runBuild(docker, plan(`x-${generation}`, ["COPY hello.txt /hello.txt"]), given);
      await keepBuildCache(docker, flavour, stages.slice(0, -1), true, silentLog);
      await removeOlderImages(docker, `${repository}:x-`, `${repository}:x-${generation}`, silentLog);
    }
    expect((await tags()).filter((tag) => tag.startsWith(`${repository}:x-`)).sort()).toEqual([
      `${repository}:x-g3`,
      `${repository}:x-r-g0`,
    ]);
    expect((await tags()).filter((tag) => tag.startsWith("kernelbox/build-cache:"))).toEqual([`kernelbox/build-cache:${flavour}-1`]);
    expect(await dangling()).toEqual(danglingBefore);
  });

  test("an older image that a container uses stays, and does not stop the build", async () => {
    const { given } = callbacks();
    for (const tag of ["used-1", "used-2"]) await runBuild(docker, plan(tag, ["COPY hello.txt /hello.txt"]), given);
    const container = await docker.createContainer({ Image: `${repository}:used-1`, name: `${flavour}-used` });
    try {
      await removeOlderImages(docker, `${repository}:used-`, `${repository}:used-2`, silentLog);
      expect((await tags()).filter((tag) => tag.includes(":used-")).sort()).toEqual([`${repository}:used-1`, `${repository}:used-2`]);
    } finally {
      await container.remove({ force: true });
    }
  });
});
