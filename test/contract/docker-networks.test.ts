import { randomBytes } from "node:crypto";
import { createServer, type Server } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { ContainerSpec, NetworkMembership } from "../../src/engines/engine.ts";
import { PYPI } from "../../src/packages/index-hosts.ts";
import { guardAgainstLeaks } from "../helpers/containers.ts";
import { dockerEngine, sandboxImage } from "../helpers/docker.ts";
import { AGENT_COMMAND, Agent } from "./agent.ts";

const MiB = 1024 * 1024;
/** A stranger's label: no sweep of a server that runs beside this touches it. */
const labels = { "kernelbox.owner": `networks-${randomBytes(6).toString("hex")}` };
const engine = dockerEngine({ command: AGENT_COMMAND });
let image = "";
let host: Server;
let hostPort = 0;

guardAgainstLeaks();

beforeAll(async () => {
  image = await sandboxImage();
  // What listens on every address of the host, as a database does that nobody thought of.
  host = createServer((socket) => socket.on("error", () => {}).end("the host"));
  await new Promise<void>((resolve) => host.listen(0, "::", resolve));
  hostPort = (host.address() as { port: number }).port;
});

afterAll(async () => {
  host.close();
  for (const { containerId, labels: own } of await engine.list()) {
    if (own["kernelbox.owner"] === labels["kernelbox.owner"]) await engine.destroy(containerId);
  }
  for (const network of await ourNetworks()) await engine.removeNetwork(network.networkId);
});

const ourNetworks = async () =>
  (await engine.listNetworks()).filter((network) => network.labels["kernelbox.owner"] === labels["kernelbox.owner"]);

async function started(members: Partial<ContainerSpec>) {
  const spec = { name: "kernelbox-contract", image, labels, memoryBytes: 128 * MiB, workspaceBytes: 16 * MiB, cpus: 1, pids: 64 };
  const { containerId, stream } = await engine.create({ ...spec, ...members });
  const agent = new Agent(stream);
  expect(await agent.line()).toBe("ready");
  return { containerId, stream, agent, [Symbol.asyncDispose]: async () => await engine.destroy(containerId) };
}

async function network() {
  const created = await engine.createNetwork({ name: "kernelbox-contract", labels });
  const member = (index: number, hasEgress = false): NetworkMembership => ({
    networkId: created.networkId,
    address: created.addresses[index] as string,
    hasEgress,
  });
  return { ...created, member, [Symbol.asyncDispose]: async () => await engine.removeNetwork(created.networkId) };
}

/** "open" or the name of the error, of a connection from within. */
const reached = (address: string, port: number) => `
import socket
def look(address, port):
    try:
        with socket.create_connection((address, port), 2) as connection: return "open"
    except OSError as error: return type(error).__name__
reply(look(${JSON.stringify(address)}, ${port}))`;

/** Answers on port 8080 of every address, from a thread. */
const LISTEN = `
import socket, threading
server = socket.create_server(("", 8080))
def serve():
    while True: server.accept()[0].close()
threading.Thread(target=serve, daemon=True).start()
reply("listens")`;

const RESOLVE = `
import socket
try: reply(socket.getaddrinfo(${JSON.stringify(PYPI)}, 443)[0][4][0])
except OSError as error: reply(type(error).__name__)`;

test("containers of a network reach each other, and neither the host by any of its addresses nor a name", async () => {
  await using net = await network();
  await using one = await started({ network: net.member(0) });
  await using other = await started({ network: net.member(1) });
  await one.agent.ask(LISTEN);
  expect(await other.agent.ask(reached(net.addresses[0] as string, 8080))).toBe("open");

  const addresses = await engine.hostAddresses();
  expect(addresses).toContain("127.0.0.1");
  const routed = addresses.filter((address) => !address.startsWith("127.") && !address.includes(":"));
  expect(routed.length, "addresses of this host").toBeGreaterThan(0);
  await using control = await started({ network: net.member(2, true) });
  // The one with a way out does reach the host: what keeps the others from it is their network.
  expect(await control.agent.ask(reached(routed[0] as string, hostPort))).toBe("open");
  const gateway = (net.addresses[0] as string).replace(/\d+$/, (last) => String(Number(last) - 1));
  for (const address of [gateway, "169.254.169.254", ...routed])
    expect(await other.agent.ask(reached(address, hostPort)), address).not.toBe("open");

  // A package index's name, which the one with a way out does resolve.
  expect(await control.agent.ask(RESOLVE)).toMatch(/^[0-9a-f.:]+$/);
  const startedAt = performance.now();
  expect(await other.agent.ask(RESOLVE)).toBe("gaierror");
  expect(performance.now() - startedAt, "ms until a name fails").toBeLessThan(5_000);
  expect(await other.agent.ask('reply(open("/proc/net/if_inet6").read())'), "no address of the sixth version to meet the host by").toBe("");
});

test("two networks do not reach each other", async () => {
  await using here = await network();
  await using there = await network();
  await using server = await started({ network: there.member(0) });
  await server.agent.ask(LISTEN);
  await using neighbour = await started({ network: there.member(1) });
  expect(await neighbour.agent.ask(reached(there.addresses[0] as string, 8080))).toBe("open");
  await using stranger = await started({ network: here.member(0) });
  expect(await stranger.agent.ask(reached(there.addresses[0] as string, 8080))).not.toBe("open");
});

test("one with a way out is in both networks and routes nothing between them", async () => {
  await using net = await network();
  await using proxy = await started({ network: net.member(0, true) });
  expect(await proxy.agent.ask('reply(open("/proc/sys/net/ipv4/ip_forward").read())')).toBe("0\n");
  const addresses = await proxy.agent.ask<string>('reply(open("/proc/net/fib_trie").read())');
  expect(addresses).toContain(net.addresses[0]);
  await proxy.agent.ask(LISTEN);
  await using sandbox = await started({ network: net.member(1) });
  expect(await sandbox.agent.ask(reached(net.addresses[0] as string, 8080))).toBe("open");
});

test("a container of another program than the supervisor ends with the stream that it was made with", async () => {
  await using helper = await started({ program: "fetcher" });
  await using sandbox = await started({});
  helper.stream.destroy();
  sandbox.stream.destroy();
  const running = async () => (await engine.list()).filter(({ state }) => state === "running").map(({ containerId }) => containerId);
  await expect.poll(running).not.toContain(helper.containerId);
  expect(await running()).toContain(sandbox.containerId);
});

test("a network is listed with its labels, and is removed when its containers are gone", async () => {
  const net = await network();
  const listed = async () => (await ourNetworks()).find(({ networkId }) => networkId === net.networkId);
  expect(await listed()).toMatchObject({ labels, isUsed: false });
  const container = await started({ network: net.member(0) });
  expect(await listed()).toMatchObject({ isUsed: true });
  const removed = engine.removeNetwork(net.networkId);
  await engine.destroy(container.containerId);
  await removed;
  expect(await listed()).toBeUndefined();
  // Once more is fine.
  await engine.removeNetwork(net.networkId);
});

test("a subnet that is taken is passed over, and there is room for more networks than an engine's own pools have", async () => {
  const made = await Promise.all(Array.from({ length: 40 }, () => engine.createNetwork({ name: "kernelbox-contract", labels })));
  const subnets = new Set(made.map(({ addresses }) => addresses[0]));
  expect(subnets.size).toBe(made.length);
  await Promise.all(made.map(({ networkId }) => engine.removeNetwork(networkId)));
});

test("a create in a network that is not there says so, and leaves nothing", async () => {
  const membership = { networkId: "0".repeat(64), address: "198.18.0.2" };
  for (const hasEgress of [false, true]) {
    await expect(started({ network: { ...membership, hasEgress } })).rejects.toMatchObject({
      code: "engine_unavailable",
      message: expect.stringContaining("network"),
    });
  }
  expect((await engine.list()).filter(({ labels: own }) => own["kernelbox.owner"] === labels["kernelbox.owner"])).toEqual([]);
});

test.for([
  ["an id that is none", { network: { networkId: "none", address: "198.18.0.2", hasEgress: false } }],
  ["an address that is none", { network: { networkId: "0".repeat(64), address: "host", hasEgress: false } }],
  ["an environment with a line break", { env: { HTTP_PROXY: "x\ny" } }],
  ["a path in place of a volume's name", { cacheVolume: "/etc" }],
] as const)("a spec with %s reaches no engine", async ([, members]) => {
  await expect(started(members)).rejects.toMatchObject({ code: "internal" });
});
