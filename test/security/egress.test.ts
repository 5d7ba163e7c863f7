import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { docker, eventually, guardAgainstLeaks, isOurs } from "../helpers/containers.ts";
import { type Answer, exchange, hammer, IPV6, NOBODY, SPELLINGS } from "../helpers/egress-requests.ts";
import { ADDRESSES, type Egress, type EgressPolicy, type EgressWorld, egressWorld, killSquid } from "../helpers/egress-world.ts";

guardAgainstLeaks();

let world: EgressWorld;
let egress: Egress;
beforeAll(async () => {
  world = await egressWorld();
});
afterAll(async () => {
  await world?.close();
  const left = (await docker.listNetworks()).filter(({ Labels }) => isOurs(Labels));
  expect(left.map(({ Name }) => Name)).toEqual([]);
});

const get = (url: string) => exchange(world.sandbox, world.addresses.proxy, `GET ${url} HTTP/1.1\r\nHost: ignored\r\n\r\n`);
const tunnel = (authority: string) => exchange(world.sandbox, world.addresses.proxy, `CONNECT ${authority} HTTP/1.1\r\n\r\n`);

async function start(policy: EgressPolicy, options: { ipv6?: boolean } = {}): Promise<void> {
  egress = await world.start(policy, options);
  await eventually(
    async () => egress.events,
    (events) => events.some(({ event }) => event === "ready"),
    20_000,
  );
}

/** What was told of the last request for a host that was answered with a status. It is told after the answer. */
async function told(host: string, status: number): Promise<Record<string, unknown>> {
  const last = async () => egress.events.findLast((event) => event.host === host && event.status === status);
  return (await eventually(last, (event) => event !== undefined, 10_000)) ?? {};
}

/** Refused with a text that says why, the reason told, and nobody reached. */
async function expectRefused(answer: Answer, host: string, reason: string): Promise<void> {
  expect([host, answer]).toEqual([host, [403, expect.stringMatching(/^[\x20-\x7e]{20,300}\n$/)]]);
  expect(await told(host, 403)).toMatchObject({ event: "request", host, verdict: "refused", reason });
}

it("has stand-ins that the proxy's own network reaches, or no refusal would show anything", async () => {
  await start({ mode: "allowlist", hosts: [] });
  try {
    const { outside, host, metadata, private: priv, neighbour } = world.addresses;
    for (const address of [outside, host, metadata, priv, neighbour]) {
      const [status, text] = await exchange(egress.beside, `${address}:80`, "GET / HTTP/1.0\r\n\r\n");
      expect([status, text]).toEqual([200, expect.stringContaining(`"at": "${address}"`)]);
    }
    expect(Object.keys(await world.connections()).sort()).toEqual([outside, host, metadata, priv, neighbour].sort());
    // And the sandbox has only the proxy.
    await expect(exchange(world.sandbox, `${outside}:80`, "GET / HTTP/1.0\r\n\r\n")).rejects.toThrow(/No route to host|unreachable/);
  } finally {
    await egress.stop();
  }
});

describe("in allowlist mode", () => {
  const { outside } = ADDRESSES;
  beforeAll(
    async () =>
      await start({ mode: "allowlist", hosts: ["good.test", "*.below.test", "*.flip.test", "once.test", "late.test", "dead.test"] }),
  );
  afterAll(async () => await egress.stop());
  beforeEach(async () => {
    await world.setNames({ "good.test": [[outside]], "a.below.test": [[outside]], "a.b.below.test": [[outside]] });
    await world.connections();
  });

  it("reaches the hosts of the list, by plain requests and by tunnels, and says nothing of itself there", async () => {
    const [status, text] = await get("http://good.test/a?b=c");
    const seen = JSON.parse(text);
    expect([status, seen]).toMatchObject([200, { at: outside, path: "/a?b=c", headers: { Host: "good.test" } }]);
    expect(Object.keys(seen.headers).filter((name) => /via|forwarded|x-|proxy/i.test(name))).toEqual([]);
    expect(await told("good.test", 200)).toEqual({
      ...{ event: "request", method: "GET", host: "good.test", port: 80, status: 200, verdict: "allowed" },
      ...{ bytes: expect.any(Number), duration_ms: expect.any(Number) },
    });
    expect(await tunnel("good.test:443")).toEqual([200, `hello from ${outside}\nping`]);
    for (const host of ["a.below.test", "a.b.below.test", "GOOD.Test", "good.test."])
      expect([host, (await get(`http://${host}/`))[0]]).toEqual([host, 200]);
    await eventually(
      async () => egress.events.filter(({ method }) => method === "CONNECT"),
      (events) => events.length > 0,
      5_000,
    );
    expect(egress.events.findLast(({ method }) => method === "CONNECT")).toMatchObject({
      host: "good.test",
      port: 443,
      status: 200,
      verdict: "allowed",
    });
  });

  it.each([
    "other.test",
    "good.test.other.test",
    "notgood.test",
    "x.good.test",
    "below.test",
    "xbelow.test",
    "test",
    "localhost",
    "kernelbox",
  ])("refuses %s, which is not on the list", async (host) => {
    await world.setNames({ [host]: [[outside]] });
    await expectRefused(await get(`http://${host}/`), host, "host_not_allowed");
    await expectRefused(await tunnel(`${host}:443`), host, "host_not_allowed");
    expect(await world.connections()).toEqual({});
  });

  it("takes the host of the request, not of its header", async () => {
    const forged = "GET http://good.test/ HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n";
    expect(JSON.parse((await exchange(world.sandbox, world.addresses.proxy, forged))[1])).toMatchObject({
      at: outside,
      headers: { Host: "good.test" },
    });
    const hidden = "GET http://other.test/ HTTP/1.1\r\nHost: good.test\r\n\r\n";
    await expectRefused(await exchange(world.sandbox, world.addresses.proxy, hidden), "other.test", "host_not_allowed");
  });

  it("refuses other ports", async () => {
    for (const port of [25, 22, 80, 8443]) await expectRefused(await tunnel(`good.test:${port}`), "good.test", "port");
    for (const port of [25, 8080, 3128]) await expectRefused(await get(`http://good.test:${port}/`), "good.test", "port");
    expect(await world.connections()).toEqual({});
  });

  it("refuses addresses, however they are spelled, also public ones", async () => {
    for (const host of [...SPELLINGS, outside, "3325256714"]) {
      for (const answer of [await get(`http://${host}/`), await tunnel(`${host}:443`)]) {
        expect([host, answer[0], [403, 400].includes(answer[0])]).toEqual([host, answer[0], true]);
      }
    }
    await expectRefused(await tunnel(`${outside}:443`), outside, "address_literal");
    expect(await world.connections()).toEqual({});
  });

  it("refuses names of the list that lead to addresses that nobody may reach", async () => {
    const { host, metadata, private: priv, neighbour, own } = world.addresses;
    for (const [index, address] of [host, metadata, priv, neighbour, own, ...Object.values(NOBODY)].entries()) {
      const name = `bad${index}.below.test`;
      for (const [prefix, answer] of [
        ["one", [address]],
        ["first", [address, outside]],
        ["last", [outside, address]],
      ] as const) {
        await world.setNames({ [`${prefix}.${name}`]: [[...answer]] });
        await expectRefused(await get(`http://${prefix}.${name}/`), `${prefix}.${name}`, "private_address");
        await expectRefused(await tunnel(`${prefix}.${name}:443`), `${prefix}.${name}`, "private_address");
      }
    }
    expect(await world.connections()).toEqual({});
  });

  it("says so where a name of the list does not resolve", async () => {
    expect(await get("http://nobody.below.test/")).toEqual([503, "The name nobody.below.test could not be resolved.\n"]);
    expect(await told("nobody.below.test", 503)).toMatchObject({ verdict: "allowed" });
  });

  it("refuses the request that a redirect leads to", async () => {
    for (const to of [`http://${ADDRESSES.metadata}/latest`, "http://other.test/"]) {
      const [status, text] = await get(`http://good.test/?to=${to}`);
      expect([status, JSON.parse(text).at]).toEqual([302, outside]);
      const host = new URL(to).hostname;
      await expectRefused(await get(to), host, host === "other.test" ? "host_not_allowed" : "address_literal");
    }
    expect(await world.connections()).toEqual({ [outside]: 2 });
  });

  it("connects to the address that it has checked, whatever a name answers next", async () => {
    const { metadata } = ADDRESSES;
    const turns = [[outside], [metadata]];
    const flips = Object.fromEntries(
      Array.from({ length: 16 }, (_, n) => [
        `n${n}.flip.test`,
        Array(50)
          .fill(n % 2 === 0 ? turns : turns.toReversed())
          .flat(),
      ]),
    );
    // These are tried one after another, and no answer comes until the name leads elsewhere.
    const dead = [31, 32, 33, 34].map((last) => `198.51.100.${last}`);
    await world.setNames({
      "dead.test": [dead, [metadata]],
      "once.test": [[outside], [metadata]],
      "late.test": [[metadata], [outside]],
      ...flips,
    });
    // What was answered first is what counts for a while, although it is valid for no time at all.
    expect((await get("http://once.test/"))[0]).toBe(200);
    expect((await get("http://once.test/"))[0]).toBe(200);
    await expectRefused(await get("http://late.test/"), "late.test", "private_address");
    // Many names change their answers, in many requests at once: one that is checked before a change and connects after it would be seen.
    const counts = await world.sandbox.ask<Record<string, number>>(hammer(world.addresses.proxy, Object.keys(flips), "dead.test"));
    expect(counts["200"]).toBeGreaterThan(100);
    expect(counts["403"]).toBeGreaterThan(100);
    expect(counts["dead 503"]).toBe(1);
    await expectRefused(await get("http://once.test/"), "once.test", "private_address");
    expect((await get("http://late.test/"))[0]).toBe(200);
    expect(await world.connections()).toEqual({ [outside]: expect.any(Number) });
  });

  it("refuses what is neither a plain request nor a tunnel, and shows nothing of itself", async () => {
    const { own, proxy } = world.addresses;
    const targets = [
      ...[
        `http://${proxy}/`,
        `http://${proxy}/squid-internal-mgr/menu`,
        `http://kernelbox:3128/squid-internal-mgr/menu`,
        "/squid-internal-mgr/menu",
      ],
      ...[
        "/squid-internal-static/icons/SN.png",
        `cache_object://${own}/menu`,
        "ftp://good.test/",
        "https://good.test/",
        "urn:good.test",
        "gopher://good.test/",
      ],
      ...["whois://good.test/", "file:///etc/passwd", "*"],
    ];
    for (const method of ["GET", "POST", "PURGE", "TRACE"]) {
      for (const target of targets) {
        const bytes = `${method} ${target} HTTP/1.1\r\nHost: good.test\r\nContent-Length: 0\r\nMax-Forwards: 0\r\n\r\n`;
        const [status, text] = await exchange(world.sandbox, proxy, bytes);
        expect([method, target, status, status >= 400, text.length < 300]).toEqual([method, target, status, true, true]);
      }
    }
    expect(await world.connections()).toEqual({});
  });

  it("tells hostile text in bounds", async () => {
    const before = egress.events.length;
    const long = "x".repeat(60_000);
    for (const bytes of [
      `GET http://${long}/ HTTP/1.1\r\n\r\n`,
      `GET http://good.test/ HTTP/1.1\r\nX-Long: ${long}${long}\r\n\r\n`,
      `${long} http://other.test/ HTTP/1.1\r\n\r\n`,
      'GET http://a"b\\c.other.test/ HTTP/1.1\r\n\r\n',
      "GET http://\x1b[31m.other.test/\x00\x07 HTTP/1.1\r\n\r\n",
      'G"T http://other.test/ HTTP/1.1\r\n\r\n',
      "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
      "GET http://other.test/\r\n\r\n",
    ]) {
      const [status] = await exchange(world.sandbox, world.addresses.proxy, bytes);
      expect([bytes.slice(0, 40), status, status === 0 || (status >= 400 && status < 500)]).toEqual([bytes.slice(0, 40), status, true]);
    }
    const events = await eventually(
      async () => egress.events.slice(before),
      (seen) => seen.length >= 6,
      5_000,
    );
    for (const event of events) {
      expect(event).toMatchObject({
        event: "request",
        verdict: "refused",
        method: expect.stringMatching(/^[\x21-\x7e]{0,32}$/),
        host: expect.stringMatching(/^[\x21-\x7e]{0,255}$/),
      });
    }
  });

  it("bounds what its sandbox makes it hold, and serves it again afterwards", async () => {
    // As many connections as are taken, each with headers that do not end; then tunnels whose end is never read.
    const [held, sent] = await world.sandbox.ask<[held: number, sent: number]>(`
import socket, time
def is_open(s):
    s.setblocking(False)
    try: return s.recv(1) != b''
    except BlockingIOError: return True
    except OSError: return False
def connect(text):
    s = socket.create_connection(('${world.addresses.own}', 3128), 5)
    try: s.sendall(text)
    except OSError: pass
    return s
held = [connect(b'GET http://good.test/ HTTP/1.1\\r\\nX: ' + b'x' * 60_000) for _ in range(300)]
time.sleep(1)
alive = sum(map(is_open, held))
for s in held: s.close()
time.sleep(1)
tunnels = [connect(b'CONNECT good.test:443 HTTP/1.1\\r\\n\\r\\n') for _ in range(250)]
time.sleep(1)
for s in tunnels: s.setblocking(False)
until, piece, sent = time.monotonic() + 3, b'x' * 65536, 0
while time.monotonic() < until:
    for s in tunnels:
        try: sent += s.send(piece)
        except OSError: pass
for s in tunnels: s.close()
reply([alive, sent])
`);
    expect(held).toBeGreaterThan(200);
    expect(held).toBeLessThan(260);
    // So much went in as shows that the tunnels were full.
    expect(sent).toBeGreaterThan(50e6);
    const answer = async () => await get("http://good.test/").catch(() => [0, ""] as Answer);
    expect((await eventually(answer, ([status]) => status === 200, 10_000))[0]).toBe(200);
    expect(egress.events.filter(({ event }) => event === "ready").length).toBe(1);
  });
});

describe("in open mode", () => {
  const { outside } = ADDRESSES;
  beforeAll(async () => await start({ mode: "open", hosts: [] }));
  afterAll(async () => await egress.stop());
  beforeEach(async () => {
    await world.setNames({ "any.test": [[outside]] });
    await world.connections();
  });

  it("reaches every host and port but that of mail, and public addresses by themselves", async () => {
    expect((await get("http://any.test/"))[0]).toBe(200);
    expect((await get("http://any.test:8080/"))[0]).toBe(200);
    expect((await get(`http://${outside}/`))[0]).toBe(200);
    for (const authority of ["any.test:443", "any.test:8443", `${outside}:443`]) {
      expect([authority, await tunnel(authority)]).toEqual([authority, [200, `hello from ${outside}\nping`]]);
    }
    await world.connections();
    await expectRefused(await tunnel("any.test:25"), "any.test", "port");
    await expectRefused(await get("http://any.test:25/"), "any.test", "port");
    expect(await world.connections()).toEqual({});
  });

  it("refuses addresses that nobody may reach, however they are spelled", async () => {
    for (const host of [...SPELLINGS, world.addresses.own, world.addresses.neighbour, ...Object.values(NOBODY)]) {
      for (const answer of [await get(`http://${host}/`), await tunnel(`${host}:443`)]) {
        expect([host, answer[0], [403, 400].includes(answer[0])]).toEqual([host, answer[0], true]);
      }
    }
    await expectRefused(await get("http://2852039166/"), ADDRESSES.metadata, "private_address");
    await expectRefused(await tunnel("[::ffff:a9fe:a9fe]:443"), ADDRESSES.metadata, "private_address");
    await expectRefused(await tunnel(`${ADDRESSES.host}:443`), ADDRESSES.host, "private_address");
    expect(await world.connections()).toEqual({});
  });

  it("refuses names that lead there", async () => {
    const { host, metadata, private: priv, neighbour, own } = world.addresses;
    for (const [index, address] of [host, metadata, priv, neighbour, own, ...Object.values(NOBODY)].entries()) {
      await world.setNames({ [`bad${index}.test`]: [[outside, address]] });
      await expectRefused(await get(`http://bad${index}.test/`), `bad${index}.test`, "private_address");
      await expectRefused(await tunnel(`bad${index}.test:8443`), `bad${index}.test`, "private_address");
    }
    expect(await world.connections()).toEqual({});
  });
});

describe("where the container has IPv6", () => {
  beforeAll(async () => await start({ mode: "open", hosts: [] }, { ipv6: true }));
  afterAll(async () => await egress.stop());

  it("refuses names that lead to an address of it that nobody may reach, and literals", async () => {
    const { outside } = ADDRESSES;
    const local = await egress.beside.ask<string[]>("reply([line.split()[0] for line in open('/proc/net/if_inet6')])");
    expect(local).toContain("00000000000000000000000000000001");
    for (const [index, address] of IPV6.entries()) {
      await world.setNames({ [`n${index}.test`]: [[outside, address]] });
      await expectRefused(await get(`http://n${index}.test/`), `n${index}.test`, "private_address");
      expect([address, (await get(`http://[${address}]/`))[0]]).toEqual([address, 403]);
    }
    // Public ones are tried, whichever version they are of; no way leads to this one.
    await world.setNames({ "public.test": [[outside, "2a00:1450:4001::1"]], "four.test": [[outside]] });
    expect((await get("http://public.test/"))[0]).toBe(200);
    expect((await get("http://four.test/"))[0]).toBe(200);
  });
});

describe("its life", () => {
  it("ends with its stdin, and squid that dies comes back, but not without end", async () => {
    await start({ mode: "open", hosts: [] });
    const ended = egress.container.wait({ condition: "removed" }) as Promise<{ StatusCode: number }>;
    const ready = () => egress.events.filter(({ event }) => event === "ready").length;
    for (let starts = 1; starts <= 5; starts++) {
      await eventually(
        async () => ready(),
        (count) => count === starts,
        10_000,
      );
      await killSquid(egress);
    }
    expect((await ended).StatusCode).toBe(1);
    expect(egress.events.at(-1)).toMatchObject({ event: "ended", why: "squid" });
    await egress.stop();

    await start({ mode: "open", hosts: [] });
    const gone = egress.container.wait({ condition: "removed" }) as Promise<{ StatusCode: number }>;
    const begun = performance.now();
    await egress.stop();
    expect((await gone).StatusCode).toBe(0);
    expect(performance.now() - begun).toBeLessThan(5_000);
    expect(egress.events.at(-1)).toEqual({ event: "ended", why: "stdin" });
  });
});
