import type { Agent } from "../contract/agent.ts";

/** Of squid or whom it reached. */
export type Answer = [status: number, text: string];

/** One exchange of bytes with whoever is at an address: the answer's status and body, and from an open tunnel what comes through it. */
export async function exchange(agent: Agent, address: string, bytes: string): Promise<Answer> {
  const [host, port] = address.split(":");
  return await agent.ask<Answer>(`
import re, socket
sent, data = ${JSON.stringify(bytes)}.encode(), b''
with socket.create_connection(('${host}', ${port}), 5) as s:
    s.settimeout(25)
    def read(until):
        global data
        while not until():
            piece = s.recv(65536)
            if not piece: break
            data += piece
    s.sendall(sent)
    read(lambda: b'\\r\\n\\r\\n' in data)
    head, _, data = data.partition(b'\\r\\n\\r\\n')
    status, length = int(head[9:12] or 0), re.search(rb'content-length: (\\d+)', head, re.I)
    if sent.startswith(b'CONNECT') and status == 200:
        s.sendall(b'ping')
        read(lambda: data.endswith(b'ping'))
    else:
        read(lambda: length and len(data) >= int(length[1]))
reply([status, data.decode('latin1')])
`);
}

/** Where no sandbox may connect to; nobody bears them here. */
export const NOBODY = {
  loopback: "127.0.0.1",
  any: "0.0.0.0",
  shared: "100.64.0.1",
  private12: "172.16.9.9",
  private16: "192.168.0.1",
  multicast: "224.0.0.1",
  reserved: "240.0.0.1",
};

/** The same in IPv6. */
export const IPV6 = [
  ...[
    "::1",
    "::",
    "fc00::1",
    "fd12:3456::1",
    "fe80::1",
    "fec0::1",
    "ff02::1",
    "::169.254.169.254",
    "::ffff:169.254.169.254",
    "::ffff:127.0.0.1",
  ],
  ...[
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:a9fe:a9fe::1",
    "3fff::1",
    "4000::1",
    "::ffff:0:7f00:1",
  ],
];

/** Spellings of addresses, most of them of the metadata address and of 127.0.0.1. */
export const SPELLINGS = [
  ...[
    "169.254.169.254",
    "169.254.43518",
    "169.16689662",
    "2852039166",
    "0xa9fea9fe",
    "0xa9.0xfe.0xa9.0xfe",
    "025177524776",
    "0251.0376.0251.0376",
  ],
  ...["169.254.169.254.", "169.254.169.254..", "127.0.0.1", "127.1", "0x7f.1", "2130706433", "017700000001", "0", "0.0.0.0", "0x0"],
  ...[
    "[::1]",
    "[::]",
    "[::ffff:169.254.169.254]",
    "[::ffff:a9fe:a9fe]",
    "[0:0:0:0:0:ffff:169.254.169.254]",
    "[::169.254.169.254]",
    "[fe80::1]",
  ],
  ...["[64:ff9b::a9fe:a9fe]", "[2002:a9fe:a9fe::]", "[fd00::1]", "[ff02::1]", "[fe80::1%25eth0]", "[2001:db8::1]", "::1"],
  ...[
    "%31%36%39.254.169.254",
    "169%2e254%2e169%2e254",
    "\u00b9\u00b2\u2077.0.0.1",
    "good.test@169.254.169.254",
    "169.254.169.254#@good.test",
  ],
  ...["169.254.169.254\\@good.test", "169.254.169.254%00.good.test", "10.213.77.9", "198.51.100.66"],
];

/**
 * Python that asks for each of some names again and again for as long as two of their answers last, and once for a name whose host does not answer.
 * It replies how often which status came.
 */
export function hammer(proxy: string, names: string[], dead: string): string {
  return `
import collections, http.client, threading, time
counts, until = collections.Counter(), time.monotonic() + 24
def ask(names):
    connection = http.client.HTTPConnection('${proxy}', timeout=20)
    while time.monotonic() < until:
        for name in names:
            connection.request('GET', f'http://{name}/')
            answer = connection.getresponse()
            answer.read()
            counts[answer.status] += 1
            if answer.will_close: connection.close()
def ask_dead():
    connection = http.client.HTTPConnection('${proxy}', timeout=40)
    connection.request('GET', 'http://${dead}/')
    counts[f'dead {connection.getresponse().status}'] += 1
threads = [threading.Thread(target=ask_dead)] + [threading.Thread(target=ask, args=(${JSON.stringify(names)}[n::4],)) for n in range(4) for _ in range(2)]
for thread in threads: thread.start()
for thread in threads: thread.join()
reply(counts)`;
}
