import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ExecutionEvent, MimeValue } from "../../../src/events/event.ts";
import { LIMITS } from "../../../src/limits.ts";
import type { StoredEvent } from "../../../src/store/event-log.ts";
import type { ExecutionRecord } from "../../../src/store/execution-record.ts";
import { ExecutionRecords } from "../../../src/store/execution-records.ts";

let dir: string;
let records: ExecutionRecords;
let record: ExecutionRecord;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "kernelbox-events-"));
  records = new ExecutionRecords(dir);
  record = records.open({ executionId: "exe_1", contextId: "ctx_1", sandboxId: "sbx_1", principal: "local", language: "python" });
});
afterEach(async () => {
  await records.close();
  await rm(dir, { recursive: true, force: true });
});

const TIME = "2026-01-02T03:04:05.678Z";
const head = (seq: number) => ({ execution_id: "exe_1", context_id: "ctx_1", seq, timestamp: TIME });
const stream = (seq: number, text: string, name: "stdout" | "stderr" = "stdout"): ExecutionEvent => ({
  ...head(seq),
  type: "stream",
  data: { name, text },
});
const display = (seq: number, mime: Record<string, MimeValue>, type: "display_data" | "update_display_data" = "display_data") =>
  ({ ...head(seq), type, data: { mime: new Map(Object.entries(mime)), display_id: "d" } }) satisfies ExecutionEvent;

async function all(after = 0): Promise<StoredEvent[]> {
  const events: StoredEvent[] = [];
  for await (const event of record.events(after)) events.push(event);
  return events;
}

describe("the events of an execution", () => {
  it("come back in order, with their numbers, times and the text of streams, of which there is one copy", async () => {
    const lines = Array.from({ length: 5_000 }, (_, n) => `é${n}\n`);
    for (const [n, text] of lines.entries()) await record.append(stream(2 * n + 1, text));
    for (const [n, text] of lines.entries()) await record.append(stream(10_001 + n, text.toUpperCase(), "stderr"));
    const events = await all();
    expect(events).toHaveLength(10_000);
    expect(events[0]).toEqual({
      seq: 1,
      timestamp: TIME,
      type: "stream",
      data: { name: "stdout", text: "é0\n", late: false },
      offset: 0,
      omittedBytes: 0,
    });
    expect(events.slice(0, 5_000).map(({ data }) => (data as { text: string }).text)).toEqual(lines);
    expect(events.at(-1)).toMatchObject({ seq: 15_000, data: { name: "stderr", text: "É4999\n" } });
    // The places of 10,000 pieces, not their text.
    expect((await stat(join(dir, "exe_1", "events"))).size).toBeLessThan(10_000 * 45);
  });

  it("begin behind the number that is asked for, wherever that is", async () => {
    for (let seq = 1; seq <= 2_000; seq++) await record.append(stream(seq, `${seq} `));
    for (const after of [0, 1, 255, 256, 257, 1_023, 1_999]) {
      const events = await all(after);
      expect([events[0]?.seq, events.length, (events[0] as { data?: { text?: string } }).data?.text]).toEqual([
        after + 1,
        2_000 - after,
        `${after + 1} `,
      ]);
    }
    expect(await all(2_000)).toEqual([]);
    expect(record.lastEvent).toBe(2_000);
  });

  it("name the output that holds what a display brought, until a later event replaces it", async () => {
    const png = { "image/png": { bytes: Buffer.from([1, 2]) }, "application/json": { json: { a: [1] } }, "text/plain": { text: "t" } };
    const first = display(1, png);
    await record.putOutput(1, first.data.mime, 1);
    await record.append(first, 1);
    expect(record.formsOf(1, 1)).toEqual([
      { type: "image/png", kind: "bytes", sizeBytes: 2 },
      { type: "application/json", kind: "json", sizeBytes: 9 },
      { type: "text/plain", kind: "text", sizeBytes: 1 },
    ]);
    expect(await record.readBundle(1)).toEqual(first.data.mime);
    const second = display(2, { "text/plain": { text: "u" } }, "update_display_data");
    await record.putOutput(1, second.data.mime, 2);
    await record.append(second, 1);
    expect(record.formsOf(1, 1)).toEqual([]);
    expect(record.formsOf(1, 2)).toHaveLength(1);
    expect(await all()).toMatchObject([
      { seq: 1, type: "display_data", output: 1, data: { types: ["image/png", "application/json", "text/plain"], display_id: "d" } },
      { seq: 2, type: "update_display_data", output: 1, data: { types: ["text/plain"] } },
    ]);
  });

  it("hold what is no output of its own, and what metadata is small", async () => {
    const result: ExecutionEvent = {
      ...head(1),
      type: "execute_result",
      data: { mime: new Map([["text/plain", { text: "42" }]]), metadata: { a: 1 }, execution_count: 3 },
    };
    const large = { ...display(2, {}), data: { mime: new Map(), metadata: { a: "x".repeat(20_000) } } };
    const error: ExecutionEvent = { ...head(3), type: "error", data: { name: "E", value: "v", traceback: ["a", "b"] } };
    const file: ExecutionEvent = { ...head(4), type: "file", data: { path: "/home/user/a", change: "created", size_bytes: 1 } };
    for (const event of [result, large, error, file]) await record.append(event);
    expect(await all()).toEqual([
      {
        seq: 1,
        timestamp: TIME,
        type: "execute_result",
        data: { types: ["text/plain"], text: "42", metadata: { a: 1 }, execution_count: 3 },
        output: null,
      },
      { seq: 2, timestamp: TIME, type: "display_data", data: { types: [] }, output: null },
      { seq: 3, timestamp: TIME, type: "error", data: error.data },
      { seq: 4, timestamp: TIME, type: "file", data: file.data },
    ]);
  });

  it("have a time of ours where a sandbox wrote none", async () => {
    for (const timestamp of ["soon", "-099999-01-01T00:00:00Z", "+123456-01-01T00:00:00Z", ""])
      await record.append({ ...stream(1, "x"), timestamp });
    for (const event of await all()) expect(Math.abs(Date.parse(event.timestamp) - Date.now())).toBeLessThan(10_000);
  });
});

describe("past the bounds", () => {
  it("the text that the full copy has no room for is counted, and cut between characters", async () => {
    const piece = "é".repeat(16 * 1024 * 1024);
    await record.append(stream(1, "x"));
    for (let n = 0; n < 8; n++) await record.append(stream(2 + n, piece));
    await record.append(stream(10, "gone"));
    let last: StoredEvent | undefined;
    let text = 0;
    for await (const event of record.events()) {
      last = event;
      if (event.type === "stream") text += Buffer.byteLength(event.data.text);
      if (event.seq === 9) expect([(event.data as { text: string }).text.endsWith("é"), event]).toMatchObject([true, { omittedBytes: 1 }]);
    }
    expect(last).toMatchObject({ seq: 10, data: { text: "" }, omittedBytes: 4 });
    expect(text).toBe(LIMITS.spoolBytesPerExecution - 1);
  }, 60_000);

  it("pieces of streams are dropped and counted, and what else comes is kept", async () => {
    const metadata = { a: "x".repeat(16_000) };
    let seq = 0;
    while (seq * 16_000 < LIMITS.eventLogStreamBytes) {
      seq++;
      await record.append({ ...head(seq), type: "display_data", data: { mime: new Map(), metadata } });
    }
    await record.append(stream(++seq, "dropped"));
    await record.append({ ...head(++seq), type: "clear_output", data: { wait: true } });
    expect((await all(seq - 3)).map((event) => event.seq)).toEqual([seq - 2, seq]);
    expect(record.stdout.bytes).toBe(7);
    expect(record.notices()).toEqual([expect.stringMatching(`^1 of ${seq} events are not kept one by one`)]);
    while (seq * 16_000 < LIMITS.eventLogBytes * 1.1) {
      seq++;
      await record.append({ ...head(seq), type: "display_data", data: { mime: new Map(), metadata } });
    }
    expect((await stat(join(dir, "exe_1", "events"))).size).toBeLessThanOrEqual(LIMITS.eventLogBytes);
    expect(record.lastEvent).toBe(seq);
    expect(Number.parseInt(record.notices()[0] ?? "", 10)).toBe(seq - (await all()).length);
  });

  it("a disk that refuses costs the events, which are counted, and nothing else", async () => {
    await writeFile(join(dir, "exe_1"), "");
    for (let seq = 1; seq <= 3_000; seq++) await record.append(stream(seq, "text"));
    expect(await all()).toEqual([]);
    expect(record.notices().join()).toContain("3000 of 3000 events are not kept");
  });
});
