import { randomInt } from "node:crypto";
import type { Duplex } from "node:stream";
import type Docker from "dockerode";
import { attachContainer } from "../../src/engines/docker/attach.ts";
import { AGENT_COMMAND, Agent } from "../contract/agent.ts";
import { docker, TEST_LABELS } from "./containers.ts";
import { sandboxImage } from "./docker.ts";

/**
 * A world of stand-ins around an egress proxy, in networks that lead nowhere else: a sandbox that has the proxy alone, a host outside that also answers for
 * the names, and one that bears the addresses that nobody may reach.
 */
export interface EgressWorld {
  /** Starts the proxy under a policy. */
  start: (policy: EgressPolicy, options?: { ipv6?: boolean }) => Promise<Egress>;
  /** Where the sandbox's code would run. */
  sandbox: Agent;
  /** Names, and what is answered, the last for ever. An answer is a list of addresses. */
  setNames: (names: Record<string, string[][]>) => Promise<void>;
  /** How often each stand-in was connected to since the last look: by its address. */
  connections: () => Promise<Record<string, number>>;
  addresses: typeof ADDRESSES & { proxy: string; neighbour: string; own: string };
  close: () => Promise<void>;
}

export interface EgressPolicy {
  mode: "allowlist" | "open";
  hosts: string[];
}

export interface Egress {
  /** All that it has told so far. */
  events: Record<string, unknown>[];
  stream: Duplex;
  container: Docker.Container;
  /** Somebody else in the proxy's own network. */
  beside: Agent;
  stop: () => Promise<void>;
}

export const ADDRESSES = {
  outside: "198.51.100.10",
  /** Looks public, and is named in the policy as the engine's host's. */
  host: "198.51.100.66",
  metadata: "169.254.169.254",
  private: "10.213.77.9",
};

/** Runs in an agent: HTTP, a greeting and an echo, each on ports of its own; counts who connects to which address. */
const SERVERS = `
import collections, http.server, json, socket, socketserver, sys, threading, types
world = sys.modules['world'] = types.ModuleType('world')
world.seen, world.names = collections.Counter(), {}
class Web(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def do_GET(self):
        where = self.connection.getsockname()[0]
        world.seen[where] += 1
        to = self.path.partition('?to=')[2]
        body = json.dumps({'at': where, 'path': self.path, 'headers': dict(self.headers)}).encode()
        self.send_response(302 if to else 200)
        if to: self.send_header('Location', to)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass
class Greeter(socketserver.BaseRequestHandler):
    def handle(self):
        where = self.request.getsockname()[0]
        world.seen[where] += 1
        self.request.sendall(b'hello from ' + where.encode() + b'\\n')
        while data := self.request.recv(65536): self.request.sendall(data)
class Names(socketserver.BaseRequestHandler):
    def handle(self):
        query, sock = self.request
        labels, at = [], 12
        while query[at]: labels.append(query[at + 1:at + 1 + query[at]].decode().lower()); at += query[at] + 1
        kind = query[at + 2]
        question = query[12:at + 5]
        answers = world.names.get('.'.join(labels))
        chosen = []
        if answers and kind in (1, 28): chosen = [packed(a) for a in answers[0] if (':' in a) == (kind == 28)]
        if answers and kind == 1 and len(answers) > 1: answers.pop(0)
        records = b''.join(bytes([0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 0, 0, len(a)]) + a for a in chosen)
        code = 0 if answers else 3
        sock.sendto(query[:2] + bytes([0x81, 0x80 | code, 0, 1, 0, len(chosen), 0, 0, 0, 0]) + question + records, self.client_address)
def packed(address): return socket.inet_pton(socket.AF_INET6 if ':' in address else socket.AF_INET, address)
class Many(socketserver.ThreadingTCPServer):
    allow_reuse_address, daemon_threads, request_queue_size = True, True, 128
servers = [Many(('0.0.0.0', port), Web) for port in (80, 8080)] + [Many(('0.0.0.0', port), Greeter) for port in (443, 25, 8443)]
servers.append(socketserver.ThreadingUDPServer(('0.0.0.0', 53), Names))
for server in servers: threading.Thread(target=server.serve_forever, daemon=True).start()
reply('serving')
`;

const internal = (name: string, subnet: string) => ({
  Name: name,
  CheckDuplicate: true,
  Internal: true,
  IPAM: { Config: [{ Subnet: subnet }] },
  Options: { "com.docker.network.bridge.inhibit_ipv4": "true" },
  Labels: TEST_LABELS,
});

export async function egressWorld(): Promise<EgressWorld> {
  const image = await sandboxImage();
  const networks: Docker.Network[] = [];
  const containers: Docker.Container[] = [];
  const unique = TEST_LABELS["kernelbox.test"];
  const base = `198.19.${randomInt(256)}.${8 * randomInt(32)}`;
  const at = (number: number) => base.replace(/\d+$/, (last) => String(Number(last) + number));
  const own = at(2);
  const addresses = { ...ADDRESSES, proxy: `${own}:3128`, own, neighbour: at(4) };

  async function network(kind: string, subnet: string): Promise<string> {
    const made = await docker.createNetwork(internal(`kernelbox-test-${kind}-${unique}`, subnet));
    networks.push(made);
    return made.id;
  }

  /** Runs a program with its stdin and stdout attached, at an address of each of some networks. */
  async function run(
    command: string[],
    where: Record<string, string>,
    more: Docker.HostConfig = {},
    User = "0",
  ): Promise<[Docker.Container, Duplex]> {
    const [first, ...others] = Object.entries(where);
    const container = await docker.createContainer({
      Image: image,
      User,
      Entrypoint: command,
      Labels: TEST_LABELS,
      OpenStdin: true,
      StdinOnce: true,
      HostConfig: { AutoRemove: true, ...(first === undefined ? {} : { NetworkMode: first[0] }), ...more },
      ...(first === undefined ? {} : { NetworkingConfig: { EndpointsConfig: { [first[0]]: { IPAMConfig: { IPv4Address: first[1] } } } } }),
    });
    containers.push(container);
    for (const [id, address] of others) {
      await docker.getNetwork(id).connect({ Container: container.id, EndpointConfig: { IPAMConfig: { IPv4Address: address } } });
    }
    const stream = await attachContainer(container);
    await container.start();
    return [container, stream];
  }

  async function agent(where: Record<string, string>, more: Docker.HostConfig = {}): Promise<Agent> {
    const made = new Agent((await run(AGENT_COMMAND, where, more))[1]);
    await made.line();
    return made;
  }

  async function close(): Promise<void> {
    for (const container of containers) await container.remove({ force: true }).catch(() => {});
    for (const { id } of networks) await docker.getNetwork(id).remove();
  }

  try {
    const inside = await network("in", `${base}/29`);
    const outside = await network("out", "198.51.100.0/24");
    const metadata = await network("metadata", "169.254.169.0/24");
    const priv = await network("private", "10.213.77.0/24");
    const sandbox = await agent({ [inside]: at(3) });
    const host = await agent({ [outside]: addresses.outside });
    const forbidden = await agent({
      [inside]: at(4),
      [outside]: addresses.host,
      [metadata]: addresses.metadata,
      [priv]: addresses.private,
    });
    await host.ask(SERVERS);
    await forbidden.ask(SERVERS);

    async function start(policy: EgressPolicy, { ipv6 = false } = {}): Promise<Egress> {
      const bounds = {
        ReadonlyRootfs: true,
        Tmpfs: { "/tmp": "size=16m,mode=1777" },
        CapDrop: ["ALL"],
        SecurityOpt: ["no-new-privileges"],
        Memory: 128 * 1024 * 1024,
        MemorySwap: 128 * 1024 * 1024,
        PidsLimit: 64,
        Dns: [addresses.outside],
        // Its own interfaces have addresses of IPv6 then, and its programs find that there is IPv6.
        ...(ipv6 ? { Sysctls: { "net.ipv6.conf.all.disable_ipv6": "0", "net.ipv6.conf.default.disable_ipv6": "0" } } : {}),
      };
      const where = { [inside]: own, [outside]: "198.51.100.20", [metadata]: "169.254.169.20", [priv]: "10.213.77.20" };
      const [container, stream] = await run(["/opt/py/bin/python", "-I", "-m", "kernelbox.egress"], where, bounds, "1000:1000");
      const events: Record<string, unknown>[] = [];
      let rest = "";
      stream.on("data", (data: Buffer) => {
        const lines = (rest + data.toString()).split("\n");
        rest = lines.pop() ?? "";
        events.push(...lines.map((line) => JSON.parse(line)));
      });
      stream.write(`${JSON.stringify({ ...policy, denied: [addresses.host], listen: addresses.proxy })}\n`);
      const beside = await agent({}, { NetworkMode: `container:${container.id}` });
      const stop = async () => {
        stream.end();
        await beside.stream.end();
        await container.wait({ condition: "removed" }).catch(() => {});
      };
      return { events, stream, container, beside, stop };
    }

    return {
      start,
      sandbox,
      addresses,
      close,
      setNames: async (names) => await host.ask(`import world\nworld.names = ${JSON.stringify(names)}\nreply(None)`),
      connections: async () => {
        const look = "import world\nseen = dict(world.seen)\nworld.seen.clear()\nreply(seen)";
        return { ...(await host.ask<Record<string, number>>(look)), ...(await forbidden.ask<Record<string, number>>(look)) };
      },
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** With the rights of its user, as a fault of squid would. */
export async function killSquid({ container }: Egress): Promise<void> {
  const program = `
import os
for pid in filter(str.isdigit, os.listdir('/proc')):
    if open(f'/proc/{pid}/comm').read() == 'squid\\n': os.kill(int(pid), 9)`;
  const exec = await container.exec({ Cmd: ["/usr/bin/python3", "-I", "-c", program], AttachStdout: true });
  for await (const _ of await exec.start({}));
}
