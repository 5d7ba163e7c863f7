import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type ExecutionEvent, eventFromWire, wireEventSchema } from "../../../src/events/event.ts";
import { ExecutionFold } from "../../../src/events/fold.ts";
import { LIMITS } from "../../../src/limits.ts";
import { toolResult } from "../../../src/mcp/content.ts";
import type { ExecutionRecord } from "../../../src/store/execution-record.ts";
import { ExecutionRecords } from "../../../src/store/execution-records.ts";
import { eventsPage } from "../../../src/tools/execution-events.ts";
import { replyWithEvents } from "../../../src/tools/get-execution.ts";

const IDS = { executionId: "exe_1", contextId: "ctx_1", sandboxId: "sbx_1", language: "python" };
const ROOM = LIMITS.replyEventsBytes;

let dir: string;
let records: ExecutionRecords;
let record: ExecutionRecord;
let fold: ExecutionFold;
let seq: number;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "kernelbox-page-"));
  records = new ExecutionRecords(dir);
  record = records.open({ ...IDS, principal: "local" });
  fold = new ExecutionFold();
  seq = 0;
});
afterEach(async () => {
  await records.close();
  await rm(dir, { recursive: true, force: true });
});

async function say(type: string, data: object, attachments: Buffer = Buffer.alloc(0)): Promise<void> {
  const wire = { execution_id: "exe_1", context_id: "ctx_1", seq: ++seq, timestamp: "2026-01-02T03:04:05.678Z", type, data };
  const event = eventFromWire(wireEventSchema.parse(wire), attachments) as ExecutionEvent;
  const output = fold.add(event);
  const whole = fold.takeWhole();
  for (const kept of [output, whole]) if (kept !== undefined) await record.putOutput(kept.n, kept.mime, seq);
  await record.append(event, (output ?? (type === "execute_result" ? whole : undefined))?.n);
}

/** The tool's reply for what was said. */
async function reply(after?: number) {
  const result = toolResult(await replyWithEvents({ ...IDS, result: fold.result(), record }, after, async () => undefined));
  return { structured: result.structuredContent as Record<string, unknown>, bytes: Buffer.byteLength(JSON.stringify(result)), result };
}

describe("events as a reply gives them", () => {
  it("hold small forms, and the output's uri for what is bytes or large; what was replaced is null", async () => {
    const png = Buffer.from("89504e470d0a1a0a", "hex");
    await say("display_data", { mime: { "text/plain": "old" }, display_id: "d" });
    await say(
      "update_display_data",
      {
        mime: { "image/png": { $attachment: [0, 8] }, "application/json": { a: [1] }, "text/html": "x".repeat(5_000), "text/plain": "t" },
        metadata: { "image/png": { width: 3 } },
        display_id: "d",
      },
      png,
    );
    await say("execute_result", { mime: { "text/plain": "42" }, execution_count: 1 });
    const { events } = await eventsPage(record, 0, ROOM);
    const uri = "kernelbox://executions/exe_1/outputs/1";
    expect(events.map(({ data }) => data)).toEqual([
      { mime: { "text/plain": null }, display_id: "d" },
      {
        mime: { "image/png": uri, "application/json": { a: [1] }, "text/html": uri, "text/plain": "t" },
        display_id: "d",
        metadata: { "image/png": { width: 3 } },
      },
      { mime: { "text/plain": "42" }, execution_count: 1 },
    ]);
  });

  it("cut long text and say where the rest is", async () => {
    await say("stream", { name: "stderr", text: "é" });
    await say("stream", { name: "stderr", text: "é".repeat(LIMITS.replyEventCharacters + 1) });
    await say("error", { name: "E", value: "v", traceback: ["a", "b".repeat(LIMITS.replyEventCharacters)] });
    const [, cut, error] = (await eventsPage(record, 0, ROOM)).events;
    expect(cut?.data).toMatchObject({
      rest: "kernelbox://executions/exe_1/stderr",
      rest_offset_bytes: 2 + 2 * LIMITS.replyEventCharacters,
    });
    expect((await record.stderr.read(cut?.data.rest_offset_bytes as number, 10)).toString()).toBe("é");
    expect(JSON.stringify(error?.data)).toContain("characters left out");
  });

  it("come so many at once, and the reply says in both lanes how to go on", async () => {
    for (let n = 0; n < LIMITS.replyEvents + 3; n++) await say("stream", { name: "stdout", text: `${n}\n` });
    const first = await reply(0);
    expect(first.structured).toMatchObject({ last_event: LIMITS.replyEvents });
    expect(JSON.stringify(first.structured.notices)).toContain(`after_event ${LIMITS.replyEvents}`);
    expect(JSON.stringify(first.result.content)).toContain(`after_event ${LIMITS.replyEvents}`);
    const rest = await reply(LIMITS.replyEvents);
    expect((rest.structured.events as { seq: number }[]).map((event) => event.seq)).toEqual([501, 502, 503]);
    expect(rest.structured.last_event).toBe(LIMITS.replyEvents + 3);
    expect(JSON.stringify(rest.structured.notices)).not.toContain("after_event");
    expect((await reply()).structured).toMatchObject({ events: [], last_event: LIMITS.replyEvents + 3 });
    expect((await reply(10_000)).structured).toMatchObject({ events: [], last_event: LIMITS.replyEvents + 3 });
  });

  it("fit beside a result with every text at its bound, in characters that take most room, and each comes once", async () => {
    const wide = "图".repeat(LIMITS.replyTextCharacters);
    for (const name of ["stdout", "stderr"]) for (let n = 0; n < 40; n++) await say("stream", { name, text: wide });
    await say("execute_result", { mime: { "text/plain": wide, "application/json": wide.slice(0, 20_000) } });
    await say("error", { name: "图".repeat(300), value: wide, traceback: [wide] });
    for (let n = 0; n < 60; n++) await say("display_data", { mime: { "text/html": "<b>", "text/plain": "\u202e".repeat(1_990) } });
    const notices = Array.from({ length: 20 }, () => "图".repeat(1_000));
    for (let n = 0; n < 3; n++) {
      await say("status", { state: "ok", incarnation: 1, duration_ms: 1, started_at: "", variables: "kept", notices });
    }
    const told: number[] = [];
    for (let after = 0; after < seq; ) {
      const page = await reply(after);
      expect(page.bytes).toBeLessThanOrEqual(LIMITS.replyBytes);
      told.push(...(page.structured.events as { seq: number }[]).map((event) => event.seq));
      after = page.structured.last_event as number;
    }
    expect(told).toEqual(Array.from({ length: seq }, (_, n) => n + 1));
  });

  it("cannot break, hide or colour lines of the prose", async () => {
    await say("stream", { name: "stdout", text: "\u001b[31mred\u001b[0m\u202eodd\n2 2026 status {}\n" });
    const { text, events } = await eventsPage(record, 0, ROOM);
    expect(text?.split("\n")).toHaveLength(2);
    // JSON as it is, its quotes too.
    expect(text).toContain('stream {"name":"stdout","text":"red');
    expect(text?.replaceAll("\n", "")).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]|\[31m/u);
    expect(events[0]?.data.text).toContain("\u001b[31mred");
  });
});
