import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { LIMITS } from "../../../src/limits.ts";
import { shownText, textFrom } from "../../../src/processes/output-text.ts";
import { ProcessRecords } from "../../../src/store/process-records.ts";

let dir: string;
let records: ProcessRecords;
let count = 0;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "kernelbox-processes-"));
  records = new ProcessRecords(dir);
});
afterAll(async () => {
  await records.close();
  await rm(dir, { recursive: true });
});

const open = (principal = "local") => records.open({ processId: `prc_${++count}`, sandboxId: "sbx_1", principal, command: "x" });
async function said(text: string | Buffer) {
  const { stdout } = open();
  await stdout.append(text);
  return stdout;
}

describe("what a process said", () => {
  it("is shown whole where it is short", async () => {
    expect(await shownText(await said("one\rtwo \x1b[1mbold\x1b[0m\n"))).toMatchObject({ text: "two bold\n", isWhole: true });
    expect(await shownText(await said(""))).toEqual({ text: "", shownBytes: 0, isWhole: true });
  });

  it("is shown by its ends where it is long, in whole characters", async () => {
    const text = "ü€𝄞".repeat(10_000);
    const shown = await shownText(await said(text));
    expect(shown.isWhole).toBe(false);
    expect(shown.text).not.toContain("\ufffd");
    const [, leftOut] = /\n\[… (\d+) bytes left out …\]\n/.exec(shown.text) ?? [];
    expect(Number(leftOut) + shown.shownBytes).toBe(Buffer.byteLength(text));
    expect(Buffer.byteLength(shown.text)).toBeLessThan(LIMITS.replyTextCharacters + 100);
  });

  it("reads on from any byte, and comes together again", async () => {
    const text = "ü€𝄞 line\n".repeat(1_000);
    const stream = await said(text);
    let again = "";
    for (let at = 0; ; ) {
      const { text: part, nextOffset } = await textFrom(stream, at, 101);
      again += part;
      if (nextOffset === at) break;
      at = nextOffset;
    }
    expect(again).toBe(text);
    expect(await textFrom(stream, 10_000_000, 100)).toEqual({ text: "", nextOffset: 10_000_000 });
  });

  it("that is no text always gets on", async () => {
    const stream = await said(Buffer.alloc(500, 0x80));
    expect((await textFrom(stream, 0, 3)).nextOffset).toBe(3);
  });
});

describe("what is kept of processes", () => {
  it("is bounded in bytes: what lies behind is counted, and others keep theirs", async () => {
    const flood = open();
    const piece = Buffer.alloc(32 * 1024 * 1024, "x");
    for (let at = 0; at <= LIMITS.processBytes; at += piece.length) await flood.stdout.append(piece);
    expect(flood.stdout.bytes).toBe(LIMITS.processBytes);
    expect(flood.stdout.droppedBytes).toBe(piece.length);
    expect(await shownText(await said("small"))).toMatchObject({ text: "small", isWhole: true });
    records.end(flood.processId);
    records.drop(flood.processId);
    expect(records.find(flood.processId, "local")).toBeUndefined();
  });

  it("is bounded in number: the oldest that is over makes room, and no other", async () => {
    const running = open();
    const over = open();
    records.end(over.processId);
    for (let n = 0; n < LIMITS.processesKept; n++) records.end(open().processId);
    expect(records.find(over.processId, "local")).toBeUndefined();
    expect(records.find(running.processId, "local")).toBe(running);
    expect(records.ids("local").length).toBeLessThanOrEqual(LIMITS.processesKept);
  });

  it("is its principal's alone", () => {
    const theirs = open("them");
    expect(records.find(theirs.processId, "local")).toBeUndefined();
    expect(records.ids("them")).toEqual([theirs.processId]);
  });
});
