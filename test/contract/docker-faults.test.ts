import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, test } from "vitest";
import { connect } from "../../src/engines/docker/connection.ts";
import { startHint } from "../../src/engines/docker/start-hint.ts";
import type { ContainerEvent, ContainerSpec, Engine } from "../../src/engines/engine.ts";
import { TEST_LABELS } from "../helpers/containers.ts";
import { dockerClient, dockerEngine, sandboxImage, silentLog } from "../helpers/docker.ts";
import { AGENT_COMMAND, Agent } from "./agent.ts";

/** Stands between an engine object and the engine: can cut every connection and refuse new ones. */
interface Gate extends AsyncDisposable {
  unix: string;
  tcp: string;
  shut: () => void;
  open: () => void;
}

async function gate(): Promise<Gate> {
  const { endpoint } = await connect(undefined, silentLog);
  const { address } = endpoint;
  const target = "socketPath" in address ? { path: address.socketPath } : { host: address.host, port: address.port };
  const folder = await mkdtemp(join(tmpdir(), "kernelbox-"));
  const pairs = new Set<net.Socket>();
  let isShut = false;
  const serve = (client: net.Socket) => {
    if (isShut) {
      client.destroy();
      return;
    }
    const upstream = net.connect({ ...target, allowHalfOpen: true } as net.NetConnectOpts);
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      pairs.add(from);
      from.on("error", () => {});
      from.on("close", () => {
        pairs.delete(from);
        to.destroy();
      });
      from.pipe(to);
    }
  };
  const servers = [net.createServer({ allowHalfOpen: true }, serve), net.createServer({ allowHalfOpen: true }, serve)] as const;
  servers[0].listen(join(folder, "gate.sock"));
  servers[1].listen(0, "127.0.0.1");
  await Promise.all(servers.map((server) => once(server, "listening")));
  const { port } = servers[1].address() as net.AddressInfo;
  return {
    unix: `unix://${join(folder, "gate.sock")}`,
    tcp: `tcp://127.0.0.1:${port}`,
    shut: () => {
      isShut = true;
      for (const socket of pairs) socket.destroy();
    },
    open: () => {
      isShut = false;
    },
    [Symbol.asyncDispose]: async () => {
      for (const server of servers) server.close();
      for (const socket of pairs) socket.destroy();
      await rm(folder, { recursive: true });
    },
  };
}

describe("the docker engine, when things go wrong", () => {
  const owner = `faults-${randomBytes(6).toString("hex")}`;
  const direct = dockerEngine({ command: AGENT_COMMAND });

  afterEach(async () => {
    const left = (await direct.list()).filter(({ labels }) => labels["kernelbox.owner"] === owner);
    await Promise.all(left.map(({ containerId }) => direct.destroy(containerId)));
    expect(left, "containers that a test left").toEqual([]);
  });

  async function started(engine: Engine, members: Partial<ContainerSpec> = {}) {
    const spec = {
      name: "kernelbox-faults",
      image: await sandboxImage(),
      labels: { "kernelbox.owner": owner, ...TEST_LABELS },
      memoryBytes: 2 ** 28,
      workspaceBytes: 2 ** 24,
      cpus: 1,
      pids: 64,
    };
    const { containerId, stream } = await engine.create({ ...spec, ...members });
    const agent = new Agent(stream);
    await agent.line();
    return { containerId, stream, agent, [Symbol.asyncDispose]: async () => await direct.destroy(containerId) };
  }

  function watched(engine: Engine) {
    const events: ContainerEvent[] = [];
    const controller = new AbortController();
    engine.watch((event) => events.push(event), controller.signal);
    return {
      endOf: (id: string) => events.filter(({ containerId, type }) => containerId === id && type === "ended"),
      typesOf: (id: string) => events.filter(({ containerId }) => containerId === id).map(({ type }) => type),
      [Symbol.dispose]: () => controller.abort(),
    };
  }

  test("the whole way works over tcp as over a socket", async () => {
    await using way = await gate();
    const engine = dockerEngine({ command: AGENT_COMMAND, endpoint: way.tcp });
    await using container = await started(engine);
    expect(await container.agent.ask("reply('far away')")).toBe("far away");
    await engine.destroy(container.containerId);
    await expect(engine.attach(container.containerId)).rejects.toMatchObject({ code: "not_found" });
  });

  test("an end during a gap is told once, with its exit code, when the engine can be reached again", async () => {
    await using way = await gate();
    const engine = dockerEngine({ command: AGENT_COMMAND, endpoint: way.unix });
    using events = watched(engine);
    await using one = await started(engine);
    await using other = await started(engine);
    await using through = await started(direct);
    other.agent.tell("os._exit(3)");
    await expect.poll(() => events.endOf(other.containerId)).toMatchObject([{ exitCode: 3 }]);
    way.shut();
    await once(one.stream.resume(), "close");
    through.agent.tell("os._exit(5)");
    const again = new Agent(await direct.attach(one.containerId));
    again.tell("os._exit(4)");
    await expect
      .poll(async () => (await direct.list()).filter(({ labels, state }) => labels["kernelbox.owner"] === owner && state === "running"))
      .toEqual([]);
    expect(events.endOf(one.containerId)).toEqual([]);
    way.open();
    await expect.poll(() => events.endOf(one.containerId), { timeout: 15_000 }).toMatchObject([{ exitCode: 4 }]);
    await expect.poll(() => events.endOf(through.containerId), { timeout: 15_000 }).toMatchObject([{ exitCode: 5 }]);
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    expect(events.endOf(one.containerId)).toHaveLength(1);
    expect(events.endOf(other.containerId)).toHaveLength(1);
    again.stream.destroy();
  });

  test("a container outlives its connection, and can be attached to again", async () => {
    await using way = await gate();
    const engine = dockerEngine({ command: AGENT_COMMAND, endpoint: way.unix });
    await using container = await started(engine);
    way.shut();
    await once(container.stream.resume(), "close");
    await expect(engine.attach(container.containerId)).rejects.toMatchObject({
      code: "engine_unavailable",
      hint: startHint(),
    });
    await expect(engine.list()).rejects.toMatchObject({ code: "engine_unavailable" });
    way.open();
    const again = new Agent(await engine.attach(container.containerId));
    expect(await again.ask("reply(os.getpid())")).toBe(1);
    again.stream.destroy();
  });

  test("a container that ends by itself is nowhere to be seen soon after, and its end was told before", async () => {
    using events = watched(direct);
    await using container = await started(direct);
    container.agent.tell("os._exit(75)");
    await expect.poll(() => events.endOf(container.containerId)).toMatchObject([{ exitCode: 75 }]);
    const docker = await dockerClient();
    await expect
      .poll(() =>
        docker
          .getContainer(container.containerId)
          .inspect()
          .then(
            () => "there",
            ({ statusCode }) => statusCode,
          ),
      )
      .toBe(404);
  });

  test("a server that is killed leaves nothing once its container has ended", async () => {
    const script = fileURLToPath(new URL("killed-server.ts", import.meta.url));
    const server = spawn(process.execPath, ["--import", "tsx", script, await sandboxImage(), owner], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const [said]: Buffer[] = await once(server.stdout, "data");
    const containerId = String(said);
    const isThere = async () => (await direct.list()).some((container) => container.containerId === containerId);
    expect(await isThere()).toBe(true);
    server.kill("SIGKILL");
    await once(server, "exit");
    expect(await isThere()).toBe(true);
    await expect.poll(isThere, { timeout: 15_000 }).toBe(false);
  });

  test("one that is being removed by its own end can be destroyed at that very moment", async () => {
    for (let round = 0; round < 5; round++) {
      await using container = await started(direct);
      container.agent.tell("os._exit(0)");
      await once(container.stream.resume(), "close");
      await Promise.all([direct.destroy(container.containerId), direct.destroy(container.containerId)]);
    }
  });

  test("running out of memory is told although the container removes itself, also when only a child dies of it", async () => {
    using events = watched(direct);
    await using all = await started(direct, { memoryBytes: 2 ** 26 });
    all.agent.tell("hog = bytearray(1 << 29)\nfor at in range(0, len(hog), 4096): hog[at] = 1");
    await expect.poll(() => events.typesOf(all.containerId).sort(), { timeout: 15_000 }).toEqual(["ended", "out_of_memory"]);
    await using child = await started(direct, { memoryBytes: 2 ** 26 });
    const signal = await child.agent.ask<number>(`
pid = os.fork()
if pid == 0:
    open('/proc/self/oom_score_adj', 'w').write('1000')
    hog = bytearray(1 << 29)
    for at in range(0, len(hog), 4096): hog[at] = 1
reply(os.WTERMSIG(os.waitpid(pid, 0)[1]))`);
    expect(signal).toBe(9);
    await expect.poll(() => events.typesOf(child.containerId)).toEqual(["out_of_memory"]);
    expect(await child.agent.ask("reply('goes on')")).toBe("goes on");
  });

  test("an image without the program, and a runtime that is not installed, leave nothing and say what to do", async () => {
    const spec = {
      name: "kernelbox-faults",
      image: await sandboxImage(),
      labels: { "kernelbox.owner": owner, ...TEST_LABELS },
      memoryBytes: 2 ** 28,
      workspaceBytes: 2 ** 24,
      cpus: 1,
      pids: 64,
    };
    const broken = dockerEngine({ command: ["/no/such/program"] });
    await expect(broken.create(spec)).rejects.toMatchObject({
      code: "engine_unavailable",
      hint: expect.stringContaining("kernelbox doctor"),
    });
    await expect(direct.create({ ...spec, runtime: "none-such" })).rejects.toMatchObject({
      code: "unsupported",
      details: { runtime: "none-such" },
    });
    await expect(direct.create({ ...spec, memoryBytes: 4_096 })).rejects.toMatchObject({
      code: "engine_unavailable",
      hint: expect.stringContaining("--memory"),
    });
  });
});
