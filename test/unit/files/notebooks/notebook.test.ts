import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ExecutionEvent, LossReason, MimeValue } from "../../../../src/events/event.ts";
import { contextNotebook, listNotebooks } from "../../../../src/files/notebooks/context-notebook.ts";
import { type NotebookExecution, notebookPieces } from "../../../../src/files/notebooks/notebook.ts";
import { LIMITS } from "../../../../src/limits.ts";
import type { ExecutionRecord } from "../../../../src/store/execution-record.ts";
import { ExecutionRecords } from "../../../../src/store/execution-records.ts";

let dir: string;
let records: ExecutionRecords;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "kernelbox-notebook-"));
  records = new ExecutionRecords(dir);
});
afterEach(async () => {
  await records.close();
  await rm(dir, { recursive: true, force: true });
});

type Said = { type: ExecutionEvent["type"]; data: Record<string, unknown> };
let count = 0;

/** An execution with these events between its first and its last. */
async function run(code: string, said: Said[] = [], language = "python", contextId = "ctx_1"): Promise<ExecutionRecord> {
  const executionId = `exe_${++count}`;
  const record = records.open({ executionId, contextId, sandboxId: "sbx_1", principal: "local", language });
  await record.putCode(code);
  let seq = 0;
  for (const { type, data } of [BEGUN, ...said]) await record.append(event(++seq, type, data), (data.n as number | undefined) ?? null);
  const isEnded = said.some(({ type, data }) => type === "status" && data.state !== "running");
  if (!isEnded) await record.append(event(++seq, "status", ENDED));
  record.end({ status: "ok", variables: "kept" });
  return record;
}

function event(seq: number, type: string, data: Record<string, unknown>): ExecutionEvent {
  return { execution_id: "e", context_id: "c", seq, timestamp: "2026-01-02T03:04:05.678Z", type, data } as never;
}

const status = (incarnation: number, loss: LossReason | null = null): Said => ({
  type: "status",
  data: { state: "running", incarnation, loss: loss === null ? null : { reason: loss, incarnation: incarnation - 1, at: "" } },
});
const BEGUN = status(1);
const ENDED = {
  state: "ok",
  incarnation: 1,
  execution_count: 7,
  duration_ms: 12.3,
  started_at: "2026-01-02T03:04:05.678Z",
  variables: "kept",
  reason: null,
  notices: [],
};
const stream = (text: string, name = "stdout"): Said => ({ type: "stream", data: { name, text } });
const clear = (wait: boolean): Said => ({ type: "clear_output", data: { wait } });
const display = (n: number, mime: Record<string, MimeValue>, type: Said["type"] = "display_data"): Said => ({
  type,
  data: { mime: new Map(Object.entries(mime)), metadata: {}, n },
});

// biome-ignore lint/suspicious/noExplicitAny: cells of many shapes, and a wrong one fails the test
async function cells(contextId = "ctx_1"): Promise<any[]> {
  return (await whole(contextId)).cells;
}

// biome-ignore lint/suspicious/noExplicitAny: as above
async function whole(contextId = "ctx_1"): Promise<any> {
  const source = await contextNotebook(records, contextId, "local");
  const parts: Buffer[] = [];
  await source?.stream(0, undefined, (chunk) => parts.push(chunk) > 0);
  const bytes = Buffer.concat(parts);
  expect(source?.sizeBytes).toBe(bytes.length);
  return JSON.parse(bytes.toString());
}

describe("a notebook has a cell for each execution", () => {
  it("with the code as it ran, its number, and what is known of it", async () => {
    await run("x = 'größe'\nx\n", [stream("a\n"), stream("b"), stream("c\n", "stderr")]);
    expect(await whole()).toEqual({
      metadata: {
        kernelspec: { name: "python3", display_name: "Python 3 (ipykernel)", language: "python" },
        language_info: { name: "python", file_extension: ".py", mimetype: "text/x-python" },
        kernelbox: { context_id: "ctx_1" },
      },
      nbformat: 4,
      nbformat_minor: 5,
      cells: [
        {
          cell_type: "code",
          id: expect.stringMatching(/^exe_\d+$/),
          metadata: {
            kernelbox: {
              execution_id: expect.any(String),
              status: "ok",
              incarnation: 1,
              started_at: ENDED.started_at,
              duration_ms: 12,
              variables: "kept",
              reason: null,
              notices: [],
            },
          },
          execution_count: 7,
          source: ["x = 'größe'\n", "x\n"],
          outputs: [
            { output_type: "stream", name: "stdout", text: ["a\n", "b"] },
            { output_type: "stream", name: "stderr", text: ["c\n"] },
          ],
        },
      ],
    });
  });

  it.each([
    ["javascript", "deno", "javascript"],
    ["typescript", "deno", "typescript"],
    ["bash", "bash", "bash"],
    ["r", "ir", "R"],
  ])("of %s for the kernel %s", async (language, kernel, info) => {
    await run("1", [], language);
    expect((await whole()).metadata).toMatchObject({ kernelspec: { name: kernel }, language_info: { name: info } });
  });

  it("with every form of its displays: bytes as base64, JSON where its type is JSON, half characters made whole", async () => {
    const mime: Record<string, MimeValue> = {
      "image/png": { bytes: Buffer.from("PNG") },
      "application/vnd.plotly.v1+json": { json: { data: [1] } },
      "application/json": { text: "[1]" },
      "text/plain": { json: { no: "text" } },
      "text/html": { text: "<b>\n\ud800\\ud800</b>" },
      "application/pdf": { omittedBytes: 5 },
    };
    const record = await run("d", [display(1, mime), { type: "execute_result", data: { mime: new Map([["text/plain", { text: "1" }]]) } }]);
    await record.putOutput(1, new Map(Object.entries(mime)), 2);
    const [cell] = await cells();
    expect(cell.outputs[0].data).toEqual({
      "image/png": Buffer.from("PNG").toString("base64"),
      "application/vnd.plotly.v1+json": { data: [1] },
      "application/json": "[1]",
      "text/plain": ['{"no":"text"}'],
      "text/html": ["<b>\n", "\ufffd\\ud800</b>"],
    });
    expect(cell.outputs[1]).toEqual({ output_type: "execute_result", data: { "text/plain": ["1"] }, metadata: {}, execution_count: 7 });
  });

  it("with displays as they were last, at their place, and nothing from before the output was cleared", async () => {
    const record = await run("d", [
      stream("cleared"),
      display(1, { "text/plain": { text: "cleared" } }),
      clear(true),
      display(1, { "text/plain": { text: "cleared" } }, "update_display_data"),
      display(2, { "text/plain": { text: "first" } }),
      stream("between"),
      { type: "update_display_data", data: { mime: new Map([["text/plain", { text: "second" }]]), metadata: { newest: true }, n: 2 } },
      display(3, { "text/plain": { text: "of another cell" } }, "update_display_data"),
      { type: "update_display_data", data: { mime: new Map(), n: null } },
      clear(true),
    ]);
    for (const [n, text] of [[2, "second"], [3, "of another cell"]] as const) await record.putOutput(n, new Map([["text/plain", { text }]]), 0); // biome-ignore format: a table
    const [{ outputs }] = await cells();
    expect(outputs[0].metadata).toEqual({ newest: true });
    const shown = outputs.map((output: { text?: string[]; data: Record<string, string[]> }) => output.text ?? output.data["text/plain"]);
    expect(shown).toEqual([["second"], ["between"], ["of another cell"]]);
    await run("e", [
      stream("gone"),
      clear(false),
      stream("x\n"),
      { type: "error", data: { name: "E", value: "\ud800\\ud800", traceback: ["\x1b[31ma"] } },
    ]);
    expect((await cells())[1].outputs).toEqual([
      { output_type: "stream", name: "stdout", text: ["x\n"] },
      { output_type: "error", ename: "E", evalue: "\ufffd\\ud800", traceback: ["\x1b[31ma"] },
    ]);
  });

  it("with a display that later code updated as it was last, where it stands, and not beneath that code", async () => {
    const shown = (n: number, id: string, type: Said["type"]): Said => ({
      type,
      data: { mime: new Map([["text/plain", { text: "" }]]), display_id: id, n },
    });
    const put = async (record: ExecutionRecord, n: number, text: string) => record.putOutput(n, new Map([["text/plain", { text }]]));
    const first = await run("h = display(1, display_id=True)", [shown(1, "h", "display_data"), shown(2, "g", "display_data")]);
    await put(first, 1, "h1");
    await put(first, 2, "g1");
    await put(await run("h.update(2)", [shown(1, "h", "update_display_data"), stream("updated")]), 1, "h2");
    // One whose display is not here, one that was shown again, and one whose update was cleared.
    const last = await run("x", [
      shown(1, "h", "update_display_data"),
      shown(2, "unknown", "update_display_data"),
      shown(3, "g", "update_display_data"),
    ]);
    await put(last, 1, "h3");
    await put(last, 2, "alone");
    const texts = (await cells()).map((cell) =>
      cell.outputs.map((output: { text?: string[]; data: Record<string, string[]> }) =>
        (output.text ?? output.data["text/plain"])?.join(""),
      ),
    );
    expect(texts).toEqual([["h3", "g1"], ["updated"], ["alone"]]);
  });

  it("with a tag where running it again would stop a runner, or never end", async () => {
    for (const state of ["error", "timeout", "cancelled", "died", "ok"]) await run(state, [{ type: "status", data: { ...ENDED, state } }]);
    expect((await cells()).map((cell) => cell.metadata.tags?.join())).toEqual([
      "raises-exception",
      "skip-execution",
      "skip-execution",
      "skip-execution",
      undefined,
    ]);
  });

  it("while it waits and while it runs", async () => {
    const record = records.open({ executionId: "exe_q", contextId: "ctx_1", sandboxId: "sbx_1", principal: "local", language: "python" });
    void record.putCode("slow()");
    expect(await cells()).toMatchObject([{ source: ["slow()"], metadata: { kernelbox: { status: "queued" } }, outputs: [] }]);
    await record.append(event(1, "status", BEGUN.data));
    await record.append(event(2, "stream", { name: "stdout", text: "so far" }));
    expect(await cells()).toMatchObject([{ metadata: { kernelbox: { status: "running" } }, outputs: [{ text: ["so far"] }] }]);
  });
});

describe("what a notebook lacks stands in it", () => {
  const marks = async () => (await cells()).filter((cell) => cell.cell_type === "markdown").map((cell) => cell.source.join(""));

  it("variables that were lost: by the code, or between two pieces of it", async () => {
    await run("a", [{ type: "status", data: { ...ENDED, state: "timeout", incarnation: 2, variables: "lost", reason: "timeout_kill" } }]);
    await run("b", [status(2), { type: "status", data: { ...ENDED, incarnation: 2 } }]);
    await run("c", [status(4, "out_of_memory"), { type: "status", data: { ...ENDED, incarnation: 4 } }]);
    const all = await cells();
    expect(all.map((cell) => cell.cell_type)).toEqual(["code", "markdown", "code", "markdown", "code"]);
    const [killed, memory] = await marks();
    expect(killed).toBe(
      "**All variables were lost here**: the code did not stop when it was interrupted, so its kernel was killed. What runs after it has a new kernel (incarnation 2).",
    );
    expect(memory).toContain("more memory than the sandbox has");
    expect(memory).toContain("incarnation 4");
  });

  it("executions that made room for later ones", async () => {
    for (let n = 0; n < LIMITS.executionsKept + 2; n++) {
      await run(`${n}`, [status(2), { type: "status", data: { ...ENDED, incarnation: 2 } }]);
    }
    const all = await cells();
    expect(all).toHaveLength(LIMITS.executionsKept + 1);
    expect(all[0].source.join("")).toMatch(/^2 earlier executions of this context made room/);
    expect(all[1].source).toEqual(["2"]);
    // What became of variables before the first that is kept is not known.
    expect(await marks()).toHaveLength(1);
  });

  it("text, events, forms and code that were not kept", async () => {
    const record = await run("x", [stream("a".repeat(60_000)), { type: "gap", data: { events: 3, bytes: 9 } }]);
    await record.putOutput(1, new Map([["image/png", { omittedBytes: 20 }]]));
    for (let bytes = 60_000; bytes <= LIMITS.notebookTextBytes; bytes += 60_000)
      await record.append(event(9, "stream", { name: "stdout", text: "b".repeat(60_000) }));
    await record.append(event(10, "stream", { name: "stdout", text: "behind" }));
    const [cell, mark] = await cells();
    expect(Buffer.byteLength(cell.outputs[0].text.join(""))).toBeLessThanOrEqual(LIMITS.notebookTextBytes);
    expect(mark.source.join("")).toMatch(
      /^Of the execution above this is not in the notebook:\n\n- 60006 bytes of its text, behind what is shown.\n- 3 events, .*\n- 1 forms of outputs/,
    );
    expect(mark.source.join("")).toContain(`kernelbox://executions/${record.executionId}`);
  });

  it("more code than a notebook has room for", async () => {
    const code = "x".repeat(LIMITS.codeBytes);
    const fits = Math.floor(LIMITS.notebookBytes / (LIMITS.codeBytes + 1_000));
    const executions = Array.from({ length: fits + 5 }, (_, n): NotebookExecution => {
      const events = async function* () {};
      return {
        executionId: `exe_${n}`,
        readCode: async () => code,
        events,
        readBundle: async () => new Map(),
        displayIds: new Map(),
        notices: () => [],
      };
    });
    let text = "";
    for await (const piece of notebookPieces({ contextId: "ctx_1", language: "python", forgotten: 0, executions })) text += piece;
    expect(text.length).toBeLessThan(LIMITS.notebookBytes);
    const all = JSON.parse(text).cells;
    const left = executions.length - (all.length - 1);
    expect(left).toBeGreaterThan(0);
    expect(all.at(-1).source.join("")).toContain(`the last ${left} executions`);
  }, 30_000);
});

describe("a notebook is found", () => {
  it("by its context and owner, and read from any byte to any other", async () => {
    const record = await run("x", [stream("größer\n".repeat(9_000))]);
    expect(await contextNotebook(records, "ctx_1", "other")).toBeUndefined();
    expect(await contextNotebook(records, "ctx_2", "local")).toBeUndefined();
    const read = async (offset: number, limit: number | undefined) => {
      const source = await contextNotebook(records, "ctx_1", "local");
      const parts: Buffer[] = [];
      await source?.stream(offset, limit, (chunk) => parts.push(chunk) > 0);
      return Buffer.concat(parts);
    };
    // Held from its size to its end, and made anew for each read.
    for (const more of [[], Array.from({ length: 12 }, () => stream("a line more\n".repeat(5_000)))]) {
      for (const [n, { data }] of more.entries()) await record.append(event(10 + n, "stream", data));
      const all = await read(0, undefined);
      expect(all.length > LIMITS.resourceBytes).toBe(more.length > 0);
      for (const [from, limit] of [
        [0, 1],
        [5, 400],
        [300, 100_000],
        [all.length - 3, 50],
        [all.length, 9],
      ] as const) {
        // biome-ignore format: a table
        expect(await read(from, limit)).toEqual(all.subarray(from, from + limit));
      }
    }
  }, 30_000);

  it("in the list of those that ran code last", async () => {
    for (const context of ["a", "b", "a", "c"]) await run("1", [], "python", context);
    const uris = (limit: number, principal = "local") => listNotebooks(records, principal, limit).map(({ contextId }) => contextId);
    expect(uris(9)).toEqual(["c", "a", "b"]);
    expect(uris(2)).toEqual(["c", "a"]);
    expect(uris(2, "other")).toEqual([]);
  });
});
