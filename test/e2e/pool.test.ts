import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { pino } from "pino";
import { describe, expect, it } from "vitest";
import { type App, createApp } from "../../src/app.ts";
import { readConfig } from "../../src/config.ts";
import { LIMITS } from "../../src/limits.ts";
import { startClient, TEST_IMAGE, type TestClient } from "../helpers/client.ts";
import { kernelbox } from "../helpers/command.ts";
import { docker, eventually, guardAgainstLeaks, ourContainerInfos, ourContainers } from "../helpers/containers.ts";

guardAgainstLeaks();

const SMALL = { memory: "512", workspace: "64" };
const FLAGS = ["--memory", SMALL.memory, "--workspace", SMALL.workspace];
/** A sandbox and its kernel start within this, also on a machine that others use. */
const START_MS = 30_000;

/** How many sandboxes the server has said to have ready, over its life. */
const madeReady = ({ stderr }: TestClient) => stderr().split("a sandbox is ready ahead").length - 1;
const untilReady = async (client: TestClient, times: number) =>
  await eventually(
    async () => madeReady(client),
    (made) => made >= times,
    START_MS,
  );
const containers = async (count: number) => await eventually(ourContainers, (seen) => seen.length === count, START_MS);

async function timed<T>(work: () => Promise<T>): Promise<{ value: T; ms: number }> {
  const startedAt = performance.now();
  return { value: await work(), ms: performance.now() - startedAt };
}

/** A server without a host, for many principals. */
async function serve(flags: Record<string, string>, use: (app: App, untilReady: (times: number) => Promise<unknown>) => Promise<void>) {
  let made = 0;
  const write = (line: string) => {
    if (line.includes("a sandbox is ready ahead")) made++;
  };
  const log = pino({ level: "debug" }, { write });
  const app = await createApp(readConfig({ image: TEST_IMAGE, ...SMALL, ...flags }, {}), log);
  try {
    app.fillPool();
    const ready = (times: number) =>
      eventually(
        async () => made,
        (count) => count >= times,
        START_MS,
      );
    await use(app, ready);
  } finally {
    await app.close();
  }
}

describe("a server that keeps sandboxes ready", () => {
  it("gives the first result as fast as an execution, and makes another one ready", async () => {
    await using cold = await startClient(undefined, FLAGS);
    const without = await timed(() => cold.run("1 + 1"));
    await cold.close();
    await using client = await startClient(undefined, [...FLAGS, "--pool", "1"]);
    await untilReady(client, 1);
    // What looks only takes none.
    expect((await client.call("list_contexts")).structured.contexts).toEqual([]);
    expect(await containers(1)).toHaveLength(1);
    const askedAt = Date.now();
    const first = await timed(() => client.run("import os\nx = 1\nos.getcwd(), sorted(os.environ) == sorted(dict(os.environ))"));
    const second = await timed(() => client.run("x + 1"));
    expect(first.value.structured).toMatchObject({
      status: "ok",
      execution_count: 1,
      result: "('/home/user', True)",
      state: { variables: "kept", incarnation: 1 },
    });
    expect(second.value.structured).toMatchObject({ result: "2", context_id: first.value.structured.context_id, execution_count: 2 });
    const [context, ...others] = (await client.call("list_contexts")).structured.contexts;
    expect(context).toMatchObject({ context_id: first.value.structured.context_id });
    expect(others).toEqual([]);
    expect(Date.parse(context.created_at)).toBeLessThan(askedAt);
    expect(first.ms, `pooled ${first.ms} ms, cold ${without.ms} ms`).toBeLessThan(without.ms / 3);
    await untilReady(client, 2);
    expect(await containers(2)).toHaveLength(2);
    expect((await client.run("x")).structured.result).toBe("1");
  });

  it("makes a default context anew where the one that was ready was deleted", async () => {
    await using client = await startClient(undefined, [...FLAGS, "--pool", "1"]);
    await untilReady(client, 1);
    const { structured } = await client.run("x = 1");
    expect((await client.call("delete_context", { context_id: structured.context_id })).isError).toBe(false);
    const after = await client.run("'x' in globals()");
    expect(after.structured).toMatchObject({ result: "False", sandbox_id: structured.sandbox_id });
    expect(after.structured.context_id).not.toBe(structured.context_id);
  });

  it("waits with the next one while code runs, but not for as long as it likes to run", async () => {
    await using client = await startClient(undefined, [...FLAGS, "--pool", "1"]);
    await untilReady(client, 1);
    const seconds = LIMITS.pool.busyMs / 1_000 + 8;
    const running = client.run(`import time\ntime.sleep(${seconds})\n'done'`);
    await new Promise((resolve) => setTimeout(resolve, LIMITS.pool.busyMs - 1_500));
    expect(await ourContainers()).toHaveLength(1);
    await containers(2);
    let isOver = false;
    void running.then(() => {
      isOver = true;
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect(isOver).toBe(false);
    expect((await running).structured.result).toBe("'done'");
  });

  it("replaces one that is killed, and tells nobody of a loss", async () => {
    await using client = await startClient(undefined, [...FLAGS, "--pool", "1"]);
    await untilReady(client, 1);
    const [pooled] = await ourContainerInfos();
    await docker.getContainer(pooled?.Id ?? "").kill();
    await untilReady(client, 2);
    const [replaced, ...others] = await ourContainerInfos();
    expect(others).toEqual([]);
    expect(replaced?.Id).not.toBe(pooled?.Id);
    const reply = await client.run("1");
    expect(reply.structured).toMatchObject({ status: "ok", state: { variables: "kept", incarnation: 1 } });
    expect(reply.text).not.toMatch(/lost/);
  });

  it.each([
    ["whose supervisor hangs", (id: string) => docker.getContainer(id).pause()],
    ["whose kernel died", killKernel],
  ])("gives none %s, but another", async (_how, harm) => {
    await using client = await startClient(undefined, [...FLAGS, "--pool", "2"]);
    await untilReady(client, 2);
    // The one that is claimed first was made first.
    const [, oldest] = await ourContainerInfos();
    await harm(oldest?.Id ?? "");
    const reply = await client.run("import socket\nsocket.gethostname()");
    expect(reply.structured).toMatchObject({ status: "ok", state: { variables: "kept", incarnation: 1 } });
    expect(reply.text).not.toMatch(/lost/);
    await eventually(ourContainerInfos, (seen) => seen.every(({ Id }) => Id !== oldest?.Id), START_MS);
  });

  it("leaves none when the host leaves, nor when it is killed and the lease has passed", async () => {
    for (const end of ["close", "SIGTERM", "SIGKILL"] as const) {
      const lease = end === "SIGKILL" ? 5 : 60;
      const client = await startClient(undefined, [...FLAGS, "--pool", "2", "--lease", String(lease)]);
      await untilReady(client, 2);
      // Longer than its lease: somebody pings it.
      if (end === "SIGKILL") await new Promise((resolve) => setTimeout(resolve, lease * 1_500));
      expect(await ourContainers(), client.stderr()).toHaveLength(2);
      if (end === "close") await client.close();
      else process.kill(client.pid, end);
      await containers(0);
      await client.close().catch(() => {});
    }
  });

  it("is for servers that serve: doctor makes only the one that it needs", async () => {
    const examining = kernelbox(["doctor", "--image", TEST_IMAGE, ...FLAGS, "--pool", "2"]);
    let most = 0;
    let isOver = false;
    void examining.then(() => {
      isOver = true;
    });
    while (!isOver) most = Math.max(most, (await ourContainers()).length);
    expect((await examining).stdout).toMatch(/^ok +execution: right after/m);
    expect(most).toBe(1);
  });

  it("leaves none that was being made", async () => {
    const client = await startClient(undefined, [...FLAGS, "--pool", "2", "--lease", "60"]);
    await containers(1);
    process.kill(client.pid, "SIGTERM");
    await containers(0);
    expect(client.stderr()).not.toContain('"level":50');
    await client.close();
  });
});

describe("a claim", () => {
  it("is of one owner: of many at once each gets a sandbox of its own, in which nobody was", async () => {
    const ROUNDS = 2;
    const OWNERS = 4;
    await serve({ pool: "2" }, async (app, untilReady) => {
      const sandboxes = new Set<string>();
      const contexts = new Set<string>();
      for (let round = 0; round < ROUNDS; round++) {
        await untilReady(2 * (round + 1));
        const replies = await Promise.all(
          Array.from({ length: OWNERS }, async (_, n) => {
            const principal = `owner-${round}-${n}`;
            const code = `
import os
seen = [name for name in globals() if name.startswith("secret")], [n for n in os.listdir() if not n.startswith(".")], "SECRET" in os.environ
secret, os.environ["SECRET"] = "${principal}", "${principal}"
open("${principal}.txt", "w").close()
print(seen)`;
            return await app.services.executions.execute({ code }, { principal });
          }),
        );
        for (const { result, sandboxId, contextId } of replies) {
          expect(result).toMatchObject({ status: "ok", stdout: { text: "([], [], False)\n" }, executionCount: 1 });
          sandboxes.add(sandboxId);
          contexts.add(contextId);
        }
        // Each has its own still, and nobody reaches another's.
        const [first, second] = replies;
        const again = await app.services.executions.execute({ code: "secret" }, { principal: `owner-${round}-0` });
        expect(again).toMatchObject({ sandboxId: first?.sandboxId, result: { result: `'owner-${round}-0'` } });
        for (const foreign of [{ sandboxId: second?.sandboxId }, { contextId: second?.contextId }])
          await expect(app.services.executions.execute({ code: "1", ...foreign }, { principal: `owner-${round}-0` })).rejects.toMatchObject(
            {
              code: "not_found",
            },
          );
      }
      expect([sandboxes.size, contexts.size]).toEqual([ROUNDS * OWNERS, ROUNDS * OWNERS]);
    });
  });

  it("is in the store, from then until the sandbox ends, and in no label", async () => {
    await serve({ pool: "1" }, async (app, untilReady) => {
      const folder = join(app.owner.dir, "bindings");
      await untilReady(1);
      expect(await readdir(folder).catch(() => [])).toEqual([]);
      const [pooled] = await ourContainerInfos();
      const { sandboxId } = await app.services.executions.execute({ code: "1" }, { principal: "somebody-known" });
      await untilReady(2);
      expect(await readdir(folder)).toEqual([`${sandboxId}.json`]);
      expect(JSON.parse(await readFile(join(folder, `${sandboxId}.json`), "utf8"))).toMatchObject({
        sandbox_id: sandboxId,
        principal: "somebody-known",
        container_id: pooled?.Id,
      });
      for (const { Id } of await ourContainerInfos())
        expect(JSON.stringify(await docker.getContainer(Id).inspect())).not.toContain("somebody-known");
      await docker.getContainer(pooled?.Id ?? "").kill();
      await eventually(
        () => readdir(folder),
        (files) => files.length === 0,
        10_000,
      );
    });
  });
});

describe("the image of the pool", () => {
  const NAME = { repo: "kernelbox/test-pool", tag: `t${process.pid}` };
  const REF = `${NAME.repo}:${NAME.tag}`;

  it("is waited for where it is missing, and never built", async () => {
    await using client = await startClient(undefined, [...FLAGS, "--pool", "1", "--image", REF]);
    const said = () => client.stderr().split("no sandbox could be made ready ahead").length - 1;
    const startedAt = Date.now();
    const times = 4;
    await eventually(
      async () => said(),
      (failures) => failures >= times,
      START_MS,
    );
    // Ever more seldom, and once for people, then for those who look closer.
    expect(Date.now() - startedAt).toBeGreaterThan(LIMITS.pool.retryMs.first * (2 ** (times - 1) - 1));
    const levels = client.stderr().match(/"level":\d+(?=.*no sandbox could be made ready ahead)/g);
    expect(levels?.slice(0, 2)).toEqual(['"level":30', '"level":20']);
    expect((await client.run("1")).error).toMatchObject({ code: "engine_unavailable" });
    await docker.getImage(await testImage()).tag(NAME);
    try {
      // What can be made for somebody can be made ahead, and need not wait for the next try.
      expect((await client.run("1")).structured.result).toBe("1");
      const madeAt = Date.now();
      await untilReady(client, 1);
      expect(Date.now() - madeAt).toBeLessThan(LIMITS.pool.retryMs.first * 2 ** (times - 1));
    } finally {
      await docker.getImage(REF).remove();
    }
  });

  it("is the one that the name means now: those of an older one are drained", async () => {
    await docker.getImage(await testImage()).tag(NAME);
    const base = await docker.createContainer({ Image: REF });
    try {
      await serve({ pool: "2", image: REF }, async (app, untilReady) => {
        await untilReady(2);
        const old = (await ourContainerInfos()).map(({ Id }) => Id);
        await base.commit({ ...NAME, changes: ["LABEL test.pool=newer"] });
        await untilReady(4);
        const now = (await ourContainerInfos()).map(({ Id }) => Id);
        expect(now.filter((id) => old.includes(id))).toEqual([]);
        expect(now).toHaveLength(2);
        for (const principal of ["a", "b"]) await app.services.executions.execute({ code: "1" }, { principal });
      });
    } finally {
      await base.remove();
      await docker.getImage(REF).remove();
    }
  });
});

/** What KERNELBOX_TEST_IMAGE names, as the engine knows it. */
async function testImage(): Promise<string> {
  const { testImage: ref } = await import("../helpers/sandbox.ts");
  const { dockerEngine } = await import("../helpers/docker.ts");
  return await ref(dockerEngine());
}

/** Kills all but the supervisor, from the outside. */
async function killKernel(id: string): Promise<void> {
  const { Processes } = await docker.getContainer(id).top({ ps_args: "-eo pid,args" });
  const kernels = Processes.filter((process: string[]) => !process[1]?.includes("kernelbox.supervisor"));
  expect(kernels.length).toBeGreaterThan(0);
  for (const [pid] of kernels) process.kill(Number(pid), "SIGKILL");
  // A process that is told to go has memory to give back first.
  const left = () => Promise.resolve(kernels.filter(([pid]: string[]) => existsSync(`/proc/${pid}`)).length);
  await eventually(left, (count) => count === 0, START_MS);
}
