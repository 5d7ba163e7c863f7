import { PassThrough } from "node:stream";
import { pino } from "pino";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { LIMITS } from "../../../src/limits.ts";
import { EgressLog, type EgressMessage, type EgressRequest, egressMessages } from "../../../src/sandboxes/egress-log.ts";

const request: EgressRequest = {
  event: "request",
  method: "CONNECT",
  host: "index.example",
  port: 443,
  status: 200,
  verdict: "allowed",
  bytes: 10,
  duration_ms: 5,
};

async function messages(...chunks: (string | Buffer)[]): Promise<EgressMessage[]> {
  const stream = new PassThrough();
  for (const chunk of chunks) stream.write(chunk);
  stream.end();
  const all: EgressMessage[] = [];
  for await (const message of egressMessages(stream)) all.push(message);
  return all;
}

it("messages come whole however they are cut, and what is none is passed over", async () => {
  const text = `${JSON.stringify({ event: "ready" })}\n${JSON.stringify(request)}\n`;
  for (const size of [1, 7, text.length]) {
    const chunks = Array.from({ length: Math.ceil(text.length / size) }, (_, index) => text.slice(index * size, (index + 1) * size));
    expect(await messages(...chunks)).toEqual([{ event: "ready" }, request]);
  }
  const foreign = ["not json\n", "[]\n", "null\n", '{"event":"root"}\n', `${JSON.stringify({ ...request, host: "h".repeat(256) })}\n`];
  expect(await messages(...foreign, Buffer.from([0xff, 0x0a]), '{"event":"ready"}\n')).toEqual([{ event: "ready" }]);
});

it("a line without an end is an error, before it fills the memory", async () => {
  await expect(messages("x".repeat(LIMITS.egress.lineBytes + 1))).rejects.toThrow("too long");
});

beforeEach(() => void vi.useFakeTimers({ now: 1_000_000 }));
afterEach(() => void vi.useRealTimers());

it("so many requests a second are logged one by one, and how many more there were", () => {
  const lines: Record<string, unknown>[] = [];
  const log = new EgressLog(pino({ level: "info" }, { write: (line) => void lines.push(JSON.parse(line)) }));
  for (let count = 0; count < LIMITS.egress.logPerSecond + 30; count++) log.add(request);
  expect(lines).toHaveLength(LIMITS.egress.logPerSecond);
  expect(lines[0]).toMatchObject({ host: "index.example", verdict: "allowed", msg: "network request" });
  vi.advanceTimersByTime(1_000);
  log.add({ ...request, verdict: "refused", reason: "host_not_allowed" });
  expect(lines.slice(LIMITS.egress.logPerSecond)).toMatchObject([
    { omitted: 30 },
    { verdict: "refused", reason: "host_not_allowed", msg: "network request refused" },
  ]);
});
