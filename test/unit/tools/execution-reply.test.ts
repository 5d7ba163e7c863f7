import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { CHART_TYPE } from "../../../src/events/chart.ts";
import { type ExecutionEvent, eventFromWire, wireEventSchema } from "../../../src/events/event.ts";
import { ExecutionFold, VALUE_TYPE } from "../../../src/events/fold.ts";
import { LIMITS } from "../../../src/limits.ts";
import { toolResult } from "../../../src/mcp/content.ts";
import { ExecutionRecords } from "../../../src/store/execution-records.ts";
import { executionReply } from "../../../src/tools/execution-reply.ts";
import { replyBytes } from "../../../src/tools/reply-size.ts";
import type { Fit } from "../../../src/tools/shown-pictures.ts";

let dir: string;
let records: ExecutionRecords;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "kernelbox-reply-"));
  records = new ExecutionRecords(dir);
});
afterEach(async () => {
  await records.close();
  await rm(dir, { recursive: true, force: true });
});

type Said = [type: string, data: object, attachments?: Buffer];
const PNG = Buffer.from("89504e470d0a1a0a0000000d49484452000002800000019008060000", "hex");
const picture = (bytes: Buffer, type = "image/png"): Said => [
  "display_data",
  { mime: { [type]: { $attachment: [0, bytes.length] } } },
  bytes,
];
const file = (path: string): Said => ["file", { path, change: "created", size_bytes: 1 }];
const html = (n: number): Said => ["display_data", { mime: { "text/html": "<b>", "text/plain": `${"图".repeat(1_990)}${n}` } }];

/** As where the sandbox is gone that would make pictures smaller. */
const noSmaller = async () => undefined;

/** What a host gets for what an execution said. */
const replyTo = (...said: Said[]) => fittedReplyTo(noSmaller, ...said);

async function fittedReplyTo(makeFit: Fit, ...said: Said[]) {
  const ids = { executionId: "exe_1", contextId: "ctx_1", sandboxId: "sbx_1", language: "python" };
  const record = await records.open({ ...ids, principal: "local" });
  const fold = new ExecutionFold();
  for (const [index, [type, data, attachments]] of said.entries()) {
    const wire = { execution_id: "exe_1", context_id: "ctx_1", seq: index + 1, timestamp: "", type, data };
    const output = fold.add(eventFromWire(wireEventSchema.parse(wire), attachments ?? Buffer.alloc(0)) as ExecutionEvent);
    for (const kept of [output, fold.takeWhole()]) if (kept !== undefined) await record.putOutput(kept.n, kept.mime);
  }
  const reply = await executionReply({ ...ids, result: { ...fold.result(), status: "ok" }, record }, makeFit);
  const result = toolResult(reply);
  const bytes = Buffer.byteLength(JSON.stringify(result));
  expect(bytes).toBeLessThanOrEqual(replyBytes(reply));
  const blocks = result.content as { type: string; text: string; data: string; name: string; mimeType: string }[];
  return {
    bytes,
    structured: reply.structured,
    text: blocks[0]?.text ?? "",
    images: blocks.filter((block) => block.type === "image"),
    links: blocks.filter((block) => block.type === "resource_link"),
    record,
  };
}

describe("the text of a reply", () => {
  it("tells a table once, which is a result and an output", async () => {
    const rows = (count: number) => Array.from({ length: count }, (_, n) => `row ${n} of the table`).join("\n");
    for (const table of ["  a\n0 1", rows(200), rows(3_000)]) {
      const mime = { "text/plain": table, "text/html": "<table>" };
      const { text, structured } = await replyTo(["execute_result", { mime }], ["display_data", { mime: { "text/plain": "0 1" } }]);
      expect(text.split(table.slice(0, 6))).toHaveLength(2);
      // Only that of another output.
      expect(text.split("```text")).toHaveLength(2);
      expect(structured.outputs[0]?.text).toContain(table.slice(0, 6));
    }
  });

  it("says once what a syntax error is", async () => {
    const traceback = ["  Cell In[1], line 1\n    f(:\n      ^\nSyntaxError: invalid syntax"];
    const { text } = await replyTo(["error", { name: "SyntaxError", value: "invalid syntax (99.py, line 1)", traceback }]);
    expect(text.split("invalid syntax")).toHaveLength(2);
    const other = await replyTo(["error", { name: "ValueError", value: "more (than, line)", traceback: ["  ValueError: more"] }]);
    expect(other.text).toContain("ValueError: more (than, line)");
  });

  it("does not say of code that waits that it goes on, nor of code that never began that it ran", async () => {
    const ids = { executionId: "exe_2", contextId: "ctx_1", sandboxId: "sbx_1", language: "python" };
    const record = records.open({ ...ids, principal: "local" });
    const fold = new ExecutionFold();
    const queued = await executionReply({ ...ids, result: fold.result(), record }, noSmaller);
    expect(queued.structured.notices).toEqual([expect.stringMatching(/^The code has not begun\. Wait for its end with get_execution, /)]);
    fold.end("died", "sandbox_lost", "All is lost.");
    const [block] = (await executionReply({ ...ids, result: fold.result(), record }, noSmaller)).blocks;
    expect(block).toMatchObject({ text: expect.stringMatching(/^All is lost\.\nThe sandbox was lost before this began \(0 ms\)\./) });
  });
});

describe("a reply as large as it may be", () => {
  it("drops the ends of its lists, no more than must go, and says how many", async () => {
    const paths = Array.from({ length: LIMITS.replyFiles }, (_, n) => `/home/user/${`${"图".repeat(80)}/`.repeat(16)}${n}`);
    const { bytes, structured, text, links } = await replyTo(
      ["display_data", { mime: { "text/html": "<b>", "text/plain": "small" } }],
      ...paths.map(file),
    );
    expect(bytes).toBeLessThanOrEqual(LIMITS.replyBytes);
    expect(bytes).toBeGreaterThan(LIMITS.replyBytes * 0.9);
    const shown = structured.files.length;
    expect(shown).toBeGreaterThan(10);
    expect(structured.files.map(({ path }) => path)).toEqual(paths.slice(0, shown));
    expect(structured.notices.join()).toContain(`${paths.length - shown} more changed files do not fit`);
    expect(structured.notices.join()).toContain(`${LIMITS.replyLinks - links.length} links do not fit`);
    // What is small enough for the room that the files leave is there again.
    expect([structured.outputs[0]?.text, links[0]?.name]).toEqual(["small", "output 1"]);
    for (const notice of structured.notices) expect(text).toContain(notice);
  });

  it("leaves out outputs' texts and types before files, from the end", async () => {
    const types = Object.fromEntries(Array.from({ length: 30 }, (_, n) => [`${"x".repeat(124)}/${n}`, "x"]));
    const outputs = Array.from({ length: LIMITS.replyOutputs }, (_, n): Said => {
      const [type, data] = html(n) as [string, { mime: object }];
      return [type, { mime: { ...data.mime, ...types } }];
    });
    const wide = "图".repeat(LIMITS.replyTextCharacters);
    const { bytes, structured } = await replyTo(
      ["stream", { name: "stdout", text: wide }],
      ["execute_result", { mime: { "text/plain": wide } }],
      ...outputs,
      file("/home/user/kept"),
    );
    expect(bytes).toBeLessThanOrEqual(LIMITS.replyBytes);
    const whole = structured.outputs.filter((output) => output.text !== null);
    expect(whole.length).toBeGreaterThan(10);
    expect(structured.outputs).toHaveLength(LIMITS.replyOutputs);
    expect(structured.outputs.at(-1)).toMatchObject({ text: null, mime_types: ["text/html"], uri: expect.stringContaining("outputs/50") });
    expect(structured.notices.join()).toContain(`last ${LIMITS.replyOutputs - whole.length} outputs`);
    expect(structured.files).toHaveLength(1);
  });

  const noted = (): Said => [
    "status",
    { state: "ok", incarnation: 1, duration_ms: 1, started_at: "", variables: "kept", notices: ["a notice"] },
  ];

  it("fits with every text at its bound, in characters that take most room", async () => {
    const wide = "图".repeat(LIMITS.replyTextCharacters);
    const pictures = Array.from({ length: 20 }, () => picture(Buffer.concat([PNG, Buffer.alloc(50_000)])));
    const { bytes, structured, images } = await replyTo(
      ["stream", { name: "stdout", text: wide }],
      ["stream", { name: "stderr", text: "\udc80".repeat(LIMITS.replyTextCharacters) }],
      ["execute_result", { mime: { "text/plain": wide, [VALUE_TYPE]: JSON.stringify(wide.slice(0, 20_000)) } }],
      ["error", { name: "图".repeat(300), value: wide, traceback: [wide] }],
      ...Array.from({ length: 30 }, (_, n) => html(n)),
      ...pictures,
      ...Array.from({ length: LIMITS.replyNotices + 9 }, noted),
    );
    expect(bytes).toBeLessThanOrEqual(LIMITS.replyBytes);
    expect(structured.stderr.isWellFormed()).toBe(true);
    expect(structured.notices.join()).toContain("9 more notices");
    const leftOut = structured.outputs.filter(({ type }) => type === "image/png").slice(images.length);
    expect(leftOut.length).toBeGreaterThan(1);
    expect(structured.notices.join()).toContain(`Pictures ${leftOut.map(({ n }) => n).join(", ")} are too large`);
  });

  it("leaves out charts past what models take, and before texts where all is too large", async () => {
    const series = [{ label: null, x: Array.from({ length: 1_000 }, (_, n) => n), y: Array.from({ length: 1_000 }, (_, n) => n / 7) }];
    const figure = (n: number): Said => [
      "display_data",
      { mime: { "text/plain": "f", [CHART_TYPE]: { kind: "line", title: `no ${n}`, series } } },
    ];
    const many = await replyTo(...Array.from({ length: 20 }, (_, n) => figure(n)));
    const told = many.structured.outputs.filter(({ chart }) => chart !== null).length;
    expect(told).toBeGreaterThan(2);
    expect(many.bytes).toBeLessThan(LIMITS.replyChartBytes + 20 * 1_000);
    expect(many.structured.notices).toEqual([
      expect.stringContaining(
        `The data of the last ${20 - told} charts do not fit into this reply: read_file with path "${many.structured.outputs[told]?.uri}/`,
      ),
    ]);
    expect(many.text).toContain(`line chart "no ${told - 1}"`);
    expect(many.text).not.toContain(`line chart "no ${told}"`);
    const wide = "图".repeat(LIMITS.replyTextCharacters);
    const streams = ["stdout", "stderr"].map((name): Said => ["stream", { name, text: wide }]);
    const full = await replyTo(
      ...streams,
      ["execute_result", { mime: { "text/plain": wide } }],
      figure(0),
      ...Array.from({ length: 48 }, (_, n) => html(n)),
    );
    expect(full.bytes).toBeLessThanOrEqual(LIMITS.replyBytes);
    expect(full.structured.notices[0]).toContain("The texts of the last");
    expect(full.structured.notices[1]).toContain("The data of the last 1 charts");
  });

  it("shows as many pictures as there is room for, and none over the bound of one", async () => {
    const of = (bytes: number) => picture(Buffer.concat([PNG, Buffer.alloc(bytes - PNG.length)]));
    const at = await replyTo(of(LIMITS.replyImageBytes));
    expect([at.images.length, at.structured.notices]).toEqual([1, []]);
    const over = await replyTo(of(LIMITS.replyImageBytes + 1));
    expect(over.images).toHaveLength(0);
    expect(over.text).toContain("too large for this reply");
    const two = await replyTo(of(400_000), of(400_000), of(50_000));
    // Each has its share; a smaller form of the first would have been made where there is a sandbox to make it.
    expect(two.images.map(({ data }) => data.length)).toEqual([400_000, 50_000].map((bytes) => Math.ceil(bytes / 3) * 4));
    expect(two.structured.notices).toEqual([expect.stringContaining("Picture 1 ")]);
  });

  it("uses the room for those that are shown, where there are more than can be made smaller", async () => {
    const of = (bytes: number) => picture(Buffer.concat([PNG, Buffer.alloc(bytes - PNG.length)]));
    const makeFit = async (_: Buffer, bytesMax: number) => ({
      bytes: Buffer.concat([PNG, Buffer.alloc(bytesMax - PNG.length)]),
      mimeType: "image/png" as const,
      widthPx: 1,
      heightPx: 1,
    });
    for (const count of [11, 25, 50]) {
      const { bytes, images } = await fittedReplyTo(makeFit, ...Array.from({ length: count }, () => of(1_000_000)));
      expect(images).toHaveLength(LIMITS.replyImagesFitted);
      expect(bytes).toBeLessThanOrEqual(LIMITS.replyBytes);
      expect(bytes).toBeGreaterThan(0.95 * LIMITS.replyBytes);
    }
    // Each of these is larger than an equal share, and none takes the room of the small ones behind.
    const mixed = await fittedReplyTo(makeFit, ...Array.from({ length: 20 }, () => of(40_000)), of(5_000), of(5_000));
    expect(mixed.images.length).toBeGreaterThan(15);
    expect(mixed.images.slice(-2).map(({ data }) => data.length)).toEqual([6_668, 6_668]);
  });

  it("leaves the value away whose JSON grows when it is written again", async () => {
    const value = `[${Array.from({ length: 12_000 }, () => "1e20").join(",")}]`;
    const { bytes, structured } = await replyTo(["execute_result", { mime: { "text/plain": value, [VALUE_TYPE]: value } }]);
    expect(value.length).toBeLessThan(LIMITS.replyResultJsonBytes);
    expect(structured.result_json).toBeNull();
    expect(bytes).toBeLessThan(LIMITS.replyBytes / 4);
  });
});

describe("a picture that is none", () => {
  it("is a link and a notice, not an image block, for which a model's API would refuse the conversation", async () => {
    const reply = await replyTo(picture(Buffer.from("not a picture")), picture(PNG));
    expect(reply.images.map((image) => image.mimeType)).toEqual(["image/png"]);
    expect(reply.text).toContain("Output 1 is no image/png: see kernelbox://executions/exe_1/outputs/1");
    expect(reply.links.map((link) => link.name)).toEqual(["output 1", "output 2"]);
  });

  it("is not shown where nobody can tell its size", async () => {
    const reply = await replyTo(picture(Buffer.concat([PNG.subarray(0, 20)])));
    expect([reply.images, reply.structured.notices.length]).toEqual([[], 1]);
  });

  it("is named what it is where it is another picture", async () => {
    const jpeg = Buffer.from("/9j/4AAQSkZJRgABAQAAAQABAAD/wAARCAARACEDASIAAhEBAxEB", "base64");
    expect((await replyTo(picture(jpeg))).images.map((image) => image.mimeType)).toEqual(["image/jpeg"]);
  });
});

describe("what is shown in part", () => {
  it("names each text and where the whole of it is", async () => {
    const long = `begin${"x".repeat(LIMITS.replyTextCharacters)}end`;
    const { structured, text, record } = await replyTo(["execute_result", { mime: { "text/plain": long, "text/html": "<b>" } }]);
    expect(structured.truncated).toMatchObject([{ field: "result", total_bytes: long.length }]);
    expect(text).toContain("result is shown in part");
    const n = Number(structured.truncated[0]?.rest.split("/").at(-1));
    expect((await record.readOutput(n))?.bytes.toString()).toBe(long);
    expect(structured.outputs).toMatchObject([{ type: "text/html" }]);
  });

  it("does so for an error's value and traceback", async () => {
    const value = "v".repeat(LIMITS.replyErrorCharacters + 1);
    const { structured, record } = await replyTo(["error", { name: "E", value, traceback: ["line 1", `E: ${value}`] }]);
    expect(structured.truncated.map(({ field }) => field)).toEqual(["error.value", "error.traceback"]);
    expect(new Set(structured.truncated.map(({ rest }) => rest)).size).toBe(1);
    const n = Number(structured.truncated[0]?.rest.split("/").at(-1));
    expect((await record.readOutput(n))?.bytes.toString()).toBe(`E: ${value}\n\nline 1\nE: ${value}`);
    const at = await replyTo(["error", { name: "E", value: value.slice(1), traceback: [] }]);
    expect(at.structured.truncated).toEqual([]);
    expect(at.text).toContain(value.slice(1));
  });
});

describe("names from a sandbox", () => {
  it("cannot break, hide or reorder lines of the prose or names of links", async () => {
    const odd = "a\nFile created: b\u202etxt.exe\u0085\u2028\u200f";
    const { text, links, structured } = await replyTo(file(`/home/user/${odd}`), ["display_data", { mime: { "x/y\nz\u202e": "1" } }]);
    for (const shown of [text.replaceAll("\n", ""), ...links.flatMap((link) => [link.name, link.mimeType ?? ""])]) {
      expect(shown).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
    }
    expect(text.split("\n").filter((line) => line.startsWith("File created"))).toHaveLength(1);
    expect(structured.files[0]?.path).toBe(`/home/user/${odd}`);
  });
});
