import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeAll, describe, expect, test } from "vitest";
import type { ContainerEvent, ContainerSpec, Engine } from "../../src/engines/engine.ts";
import { LIMITS } from "../../src/limits.ts";
import { AGENT_COMMAND, Agent } from "./agent.ts";

const MiB = 1024 * 1024;

export interface EngineUnderTest {
  /** An engine whose containers run this command in place of the image's own. */
  makeEngine: (command: string[]) => Engine;
  /** An image that holds /usr/bin/python3. */
  image: () => Promise<string>;
}

/** What every engine must do. */
export function describeEngine(name: string, under: EngineUnderTest): void {
  describe(`${name} engine`, () => {
    const owner = `contract-${randomBytes(6).toString("hex")}`;
    const engine = under.makeEngine(AGENT_COMMAND);
    let image = "";

    beforeAll(async () => {
      image = await under.image();
    });

    afterEach(async () => {
      const left = await ours();
      await Promise.all(left.map(({ containerId }) => engine.destroy(containerId)));
      expect(left, "containers that a test left").toEqual([]);
    });

    const ours = async () => (await engine.list()).filter(({ labels }) => labels["kernelbox.owner"] === owner);
    const spec = (members: Partial<ContainerSpec> = {}): ContainerSpec => ({
      name: "kernelbox-contract",
      image,
      labels: { "kernelbox.owner": owner },
      memoryBytes: 512 * MiB,
      workspaceBytes: 64 * MiB,
      cpus: 1,
      pids: 64,
      ...members,
    });

    async function started(members: Partial<ContainerSpec> = {}) {
      const { containerId, stream } = await engine.create(spec(members));
      const agent = new Agent(stream);
      return { containerId, stream, agent, [Symbol.asyncDispose]: async () => await engine.destroy(containerId) };
    }

    /** Events of one container, as they come. */
    function watched() {
      const events: ContainerEvent[] = [];
      const controller = new AbortController();
      engine.watch((event) => events.push(event), controller.signal);
      return {
        eventsOf: (containerId: string) => events.filter((event) => event.containerId === containerId),
        [Symbol.dispose]: () => controller.abort(),
      };
    }

    test("info says who it is", async () => {
      const info = await engine.info();
      expect(info.version).not.toBe("");
      expect(info.endpoint).not.toBe("");
      expect(info.cpus).toBeGreaterThan(0);
      expect(info.memoryBytes).toBeGreaterThan(0);
    });

    test("a new container's very first bytes arrive, and only those of stdout", async () => {
      await using container = await started();
      expect(await container.agent.line()).toBe("ready");
      expect(await container.agent.ask("reply(1 + 1)")).toBe(2);
    });

    test("bytes come back as they went, be it 1 B, 16 KB or 8 MB", async () => {
      await using container = await started();
      await container.agent.line();
      container.agent.tell("while True: write(os.read(0, 65536))");
      for (const count of [1, 16 * 1024, 8 * MiB]) {
        const sent = randomBytes(count);
        container.stream.write(sent);
        const received = await container.agent.bytes(count);
        expect(received.equals(sent), `${count} bytes`).toBe(true);
      }
    });

    test("a reader that sleeps holds the container back: memory stays bounded, and nothing is lost", async () => {
      await using container = await started();
      await container.agent.line();
      const rssBefore = process.memoryUsage().rss;
      container.agent.tell("block = bytes(range(256)) * 256\nfor _ in range(4096): write(block)\nwrite(b'done\\n')");
      await sleep(2_000);
      expect(container.stream.readableLength).toBeLessThan(2 * MiB);
      expect(process.memoryUsage().rss - rssBefore).toBeLessThan(96 * MiB);
      const block = Buffer.from(Array.from({ length: 65_536 }, (_, index) => index % 256));
      for (let index = 0; index < 4_096; index++) {
        if (!(await container.agent.bytes(block.length)).equals(block)) throw new Error(`Block ${index} is not what was written.`);
      }
      expect(await container.agent.line()).toBe("done");
    });

    test("a container that does not read holds the writer back", async () => {
      await using container = await started();
      await container.agent.line();
      container.agent.tell("import time; time.sleep(2)\nfor _ in range(1024): os.read(0, 65536) and None\nos._exit(0)");
      let written = 0;
      const chunk = Buffer.alloc(64 * 1024);
      while (written < 256 * MiB && container.stream.writableLength < MiB) {
        container.stream.write(chunk);
        written += chunk.length;
        if (container.stream.writableNeedDrain) await sleep(5);
      }
      expect(written).toBeLessThan(64 * MiB);
    });

    test.skipIf(!engine.capabilities.reattach)("a second stream reaches the same container, also after the first is gone", async () => {
      await using container = await started();
      await container.agent.line();
      const second = new Agent(await engine.attach(container.containerId));
      const pid = await second.ask<number>("reply(os.getpid())");
      expect(await container.agent.line()).toBe(String(pid));
      container.stream.destroy();
      expect(await second.ask("reply('still here')")).toBe("still here");
      second.stream.destroy();
      await sleep(200);
      const third = new Agent(await engine.attach(container.containerId));
      expect(await third.ask("reply('and still')")).toBe("and still");
      third.stream.destroy();
    });

    test("list tells state, labels and age", async () => {
      await using container = await started({ labels: { "kernelbox.owner": owner, "kernelbox.created": "a b=c,d" } });
      const [summary] = await ours();
      expect(summary).toMatchObject({ containerId: container.containerId, state: "running", labels: { "kernelbox.created": "a b=c,d" } });
      expect(Math.abs(Date.now() - (summary?.createdAt.getTime() ?? 0))).toBeLessThan(60_000);
    });

    test("destroy ends the stream, and is fine twice, at once, and for what never was", async () => {
      await using container = await started();
      const closed = new Promise((resolve) => container.stream.once("close", resolve));
      container.stream.resume();
      await Promise.all([engine.destroy(container.containerId), engine.destroy(container.containerId)]);
      await closed;
      await engine.destroy(container.containerId);
      await engine.destroy("0".repeat(64));
      expect(await ours()).toEqual([]);
    });

    test("destroy needs no help from inside", async () => {
      await using container = await started();
      await container.agent.line();
      container.agent.tell(
        "import signal\nfor n in range(1, 65):\n  try: signal.signal(n, signal.SIG_IGN)\n  except (OSError, ValueError): pass\nwhile True: pass",
      );
      await sleep(100);
      await engine.destroy(container.containerId);
      expect(await ours()).toEqual([]);
    });

    test.for([undefined, 0, 3, 10, 25, 60, 120, 200])("a create that is aborted after %s ms leaves nothing", async (afterMs) => {
      const signal = afterMs === undefined ? AbortSignal.abort() : AbortSignal.timeout(afterMs);
      try {
        // A machine may be quicker than the abort.
        const { containerId } = await engine.create(spec(), signal);
        await engine.destroy(containerId);
      } catch (error) {
        expect(error).toMatchObject({ code: "cancelled" });
      }
      expect(await ours()).toEqual([]);
    });

    test("the end of a container is told once, with its exit code", async () => {
      using events = watched();
      await using container = await started();
      await container.agent.line();
      container.agent.tell("os._exit(7)");
      await expect
        .poll(() => events.eventsOf(container.containerId))
        .toEqual([{ type: "ended", containerId: container.containerId, exitCode: 7 }]);
    });

    test("a container that ends before the watch has begun is told as well", async () => {
      await using container = await started();
      await container.agent.line();
      container.agent.tell("os._exit(7)");
      await expect.poll(async () => (await ours()).filter(({ state }) => state === "running")).toEqual([]);
      using events = watched();
      await expect.poll(() => events.eventsOf(container.containerId), { timeout: 10_000 }).toMatchObject([{ type: "ended" }]);
    });

    test("a container that is destroyed is told as ended", async () => {
      using events = watched();
      await using container = await started();
      await container.agent.line();
      await engine.destroy(container.containerId);
      await expect.poll(() => events.eventsOf(container.containerId)).toMatchObject([{ type: "ended" }]);
    });

    test.skipIf(!engine.capabilities.outOfMemoryEvents)("running out of memory is told apart from other ends", async () => {
      using events = watched();
      await using container = await started({ memoryBytes: 64 * MiB, workspaceBytes: 16 * MiB });
      await container.agent.line();
      container.agent.tell("hog = bytearray(512 * 1024 * 1024)\nfor at in range(0, len(hog), 4096): hog[at] = 1");
      const types = () => events.eventsOf(container.containerId).map(({ type }) => type);
      await expect.poll(types, { timeout: 20_000 }).toEqual(expect.arrayContaining(["out_of_memory", "ended"]));
      expect(events.eventsOf(container.containerId)).toContainEqual({ type: "ended", containerId: container.containerId, exitCode: 137 });
    });

    test("an image that is not there is engine_unavailable with the command that makes it, and leaves nothing", async () => {
      await expect(engine.create(spec({ image: "kernelbox/sandbox:never-was" }))).rejects.toMatchObject({
        code: "engine_unavailable",
        message: expect.stringContaining("image"),
        hint: expect.stringContaining("kernelbox setup"),
      });
      expect(await ours()).toEqual([]);
      expect(await engine.images.find("kernelbox/sandbox:never-was")).toBeUndefined();
    });

    test("attaching to what never was, or is gone, is not_found", async () => {
      await using container = await started();
      await container.agent.line();
      await engine.destroy(container.containerId);
      await expect(engine.attach(container.containerId)).rejects.toMatchObject({ code: "not_found" });
      await expect(engine.attach("0".repeat(64))).rejects.toMatchObject({ code: "not_found" });
    });

    test.for([
      ["a name with a slash", { name: "../x" }],
      ["a size that is no number", { workspaceBytes: "1,uid=0" as unknown as number }],
      ["no memory", { memoryBytes: 0 }],
    ] as const)("a spec with %s reaches no engine", async ([, members]) => {
      await expect(engine.create(spec(members))).rejects.toMatchObject({ code: "internal" });
    });

    test("more processors than the host has are taken for all of them", async () => {
      await using container = await started({ cpus: 4_096 });
      expect(await container.agent.line()).toBe("ready");
    });

    test("ten at once are made and destroyed", { timeout: 2 * LIMITS.createMs }, async () => {
      const containers = await Promise.all(Array.from({ length: 10 }, () => started({ memoryBytes: 64 * MiB })));
      expect(await Promise.all(containers.map(({ agent }) => agent.line()))).toEqual(Array(10).fill("ready"));
      await Promise.all(containers.map(({ containerId }) => engine.destroy(containerId)));
      expect(await ours()).toEqual([]);
    });
  });
}
