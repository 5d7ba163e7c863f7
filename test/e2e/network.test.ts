import { lookup } from "node:dns/promises";
import { createServer, type Server } from "node:http";
import { networkInterfaces } from "node:os";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { PYPI } from "../../src/packages/index-hosts.ts";
import { startClient, type TestClient } from "../helpers/client.ts";
import { docker, eventually, guardAgainstLeaks, isOurs, ourContainerInfos } from "../helpers/containers.ts";

guardAgainstLeaks();

const PAGE = `https://${PYPI}/simple/humanize/`;
/** Asks by the proxy that the environment names, as most programs do; answers the status, or why there is none. */
const FETCH = `
import urllib.request, urllib.error
def fetch(address):
    try:
        with urllib.request.urlopen(address, timeout=30) as answer: return answer.status
    except urllib.error.HTTPError as error: return error.code
    except urllib.error.URLError as error: return str(error.reason)
    except OSError as error: return str(error)
`;
const REFUSED = /403/;

let host: Server;
let hostPort = 0;
/** The package index by its address: there for certain, and no name of an allowlist. */
let indexAddress = "";
const hostAddress = Object.values(networkInterfaces())
  .flat()
  .find((each) => each?.family === "IPv4" && !each.internal)?.address;

beforeAll(async () => {
  indexAddress = (await lookup(PYPI, 4)).address;
  host = createServer((_, response) => response.end("the host"));
  await new Promise<void>((resolve) => host.listen(0, "0.0.0.0", resolve));
  hostPort = (host.address() as { port: number }).port;
});

afterAll(() => void host.close());

const fetched = async (client: TestClient, ...addresses: string[]): Promise<unknown[]> => {
  const reply = await client.run(`${FETCH}\n[fetch(address) for address in ${JSON.stringify(addresses)}]`, { timeout_s: 100 });
  expect(reply.structured).toMatchObject({ status: "ok" });
  return reply.structured.result_json;
};

describe("an allowlist", () => {
  const flags = ["--network", "allowlist", "--allow-host", PYPI, "--allow-host", "*.example.net"];

  it("lets through the hosts that it names, refuses others, logs both, and is told to the model", async () => {
    await using client = await startClient(undefined, flags);
    const [allowed, ...refused] = await fetched(
      client,
      PAGE,
      "https://example.com/",
      "http://example.com/",
      `https://${PYPI}:8443/`,
      "http://169.254.169.254/latest/meta-data/",
      `http://${hostAddress}:${hostPort}/`,
      "http://127.0.0.1:3128/",
      `https://${indexAddress}/`,
    );
    expect(allowed).toBe(200);
    // The sandbox's own loopback is not asked by the proxy: nobody listens there.
    expect(refused.filter((answer) => !REFUSED.test(String(answer)))).toEqual([expect.stringContaining("Connection refused")]);
    const log = client.stderr();
    expect(log.split("\n").find((line) => line.includes(`"host":"${PYPI}"`))).toContain('"verdict":"allowed"');
    expect(log).toMatch(/"host":"example\.com".*"verdict":"refused"/);
    expect(client.client.getInstructions()).toContain("reaches only these hosts");
    const { tools } = await client.client.listTools();
    expect(tools.find(({ name }: { name: string }) => name === "execute_code").description.endsWith(`${PYPI}, *.example.net.`)).toBe(true);
  });

  it("is the only way out: without the proxy nothing is reached, neither the host nor a neighbour", async () => {
    await using client = await startClient(undefined, flags);
    await using other = await startClient(undefined, flags);
    const listening = await other.run(
      "import socket, threading\nserver = socket.create_server(('', 8080))\nthreading.Thread(target=lambda: [server.accept() for _ in range(99)], daemon=True).start()\nopen('/proc/net/fib_trie').read()",
    );
    const [neighbour] = /198\.\d+\.\d+\.\d+(?=\n\s+\/32 host)/.exec(JSON.parse(JSON.stringify(listening.structured.result_json))) ?? [];
    expect(neighbour).toBeDefined();
    const targets = [
      [neighbour, 8080],
      [hostAddress, hostPort],
      ["172.17.0.1", hostPort],
      ["169.254.169.254", 80],
      [indexAddress, 443],
    ];
    const { structured } = await client.run(`
import socket
def look(address, port):
    try:
        with socket.create_connection((address, port), 2): return "open"
    except OSError as error: return type(error).__name__
[look(*target) for target in ${JSON.stringify(targets)}]`);
    expect(structured.result_json).toHaveLength(targets.length);
    expect(structured.result_json).not.toContain("open");
  });

  it("holds for commands and JavaScript as well", async () => {
    await using client = await startClient(undefined, flags);
    const code = `const answer = await fetch(${JSON.stringify(PAGE)}); const refused = await fetch("http://example.com/"); [answer.status, refused.status]`;
    expect((await client.run(code, { language: "javascript" })).structured).toMatchObject({ status: "ok", result: "[ 200, 403 ]" });
    const command = `python3 -c 'import urllib.request as u; print(u.urlopen("${PAGE}").status)'; echo $HTTPS_PROXY`;
    expect((await client.call("run_command", { command })).structured.stdout).toMatch(/^200\nhttp:\/\/198\.1[89]\.\d+\.\d+:3128\n$/);
  });
});

it("open lets through every public host, and still nothing that is private", async () => {
  await using client = await startClient(undefined, ["--network", "open"]);
  const [allowed, ...refused] = await fetched(
    client,
    PAGE,
    "http://169.254.169.254/latest/meta-data/",
    `http://${hostAddress}:${hostPort}/`,
    "http://172.17.0.1:2375/",
    "http://[::1]/",
    "http://[fd00::2]/",
  );
  expect(allowed).toBe(200);
  expect(refused.filter((answer) => !REFUSED.test(String(answer)))).toEqual([]);
  const reasons = [...client.stderr().matchAll(/"verdict":"refused","reason":"(\w+)"|"reason":"(\w+)".*?"verdict":"refused"/g)];
  expect(new Set(reasons.map(([, first, second]) => first ?? second))).toEqual(new Set(["private_address", "address_literal"]));
  expect(client.client.getInstructions()).toContain("reaches public hosts");
});

it("none is the default: only loopback, and no proxy", async () => {
  await using client = await startClient();
  const { structured } = await client.run("import os\n[os.listdir('/sys/class/net'), 'HTTPS_PROXY' in os.environ]");
  expect(structured.result_json).toEqual([["lo"], false]);
  expect((await ourContainerInfos()).map(({ Image }) => Image)).toHaveLength(1);
});

describe("what a network consists of", () => {
  const flags = ["--network", "open", "--lease", "5", "--memory", "512", "--workspace", "64"];
  const networks = async () => (await docker.listNetworks()).filter(({ Labels }) => isOurs(Labels));
  const proxies = async () => (await ourContainerInfos()).filter(({ Command }) => Command.includes("kernelbox.egress"));

  it("goes with its sandbox", async () => {
    const client = await startClient(undefined, flags);
    await client.run("1");
    expect([await networks(), await proxies()]).toMatchObject([[{ Internal: true }], [{ State: "running" }]]);
    await client.close();
    expect(await networks()).toEqual([]);
    expect(await ourContainerInfos()).toEqual([]);
  });

  it("goes when its server is killed: the proxy at once, the network with the next server's sweep", async () => {
    const client = await startClient(undefined, flags);
    await client.run("1");
    process.kill(client.pid, "SIGKILL");
    await eventually(proxies, (left) => left.length === 0, 10_000);
    await eventually(ourContainerInfos, (left) => left.length === 0, 20_000);
    expect(await networks()).toHaveLength(1);
    await client.close().catch(() => {});
    await using next = await startClient();
    await next.run("1");
    await eventually(networks, (left) => left.length === 0, 10_000);
  });

  it("comes back when somebody kills the proxy, and the next reply says so", async () => {
    await using client = await startClient(undefined, flags);
    expect(await fetched(client, PAGE)).toEqual([200]);
    const [proxy] = await proxies();
    await docker.getContainer(proxy?.Id as string).kill();
    await eventually(proxies, (now) => now.length === 1 && now[0]?.Id !== proxy?.Id && now[0]?.State === "running", 20_000);
    const reply = await eventually(
      () => client.run(`${FETCH}\nfetch(${JSON.stringify(PAGE)})`),
      ({ structured }) => structured.result_json === 200,
      20_000,
    );
    expect(reply.isError).toBe(false);
    expect(client.stderr()).toContain("another one is started");
  });
});
