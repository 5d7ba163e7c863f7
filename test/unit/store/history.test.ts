import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { LIMITS } from "../../../src/limits.ts";
import { ExecutionRecord } from "../../../src/store/execution-record.ts";
import { ExecutionRecords } from "../../../src/store/execution-records.ts";

let dir: string;
let records: ExecutionRecords;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "kernelbox-history-"));
  records = new ExecutionRecords(dir);
});
afterEach(async () => {
  await records.close();
  await rm(dir, { recursive: true, force: true });
});

let count = 0;
const owner = (contextId: string, principal = "local") => ({
  executionId: `exe_${++count}`,
  contextId,
  sandboxId: "sbx_1",
  principal,
  language: "python",
});
const ended = (contextId: string, principal?: string) => {
  const record = records.open(owner(contextId, principal));
  record.end({ status: "ok", variables: "kept" });
  return record;
};

describe("the code of an execution", () => {
  it("is kept whole: a little in memory, more of it on disk", async () => {
    for (const code of ["x = 'größe'\n", "# é\n".repeat(100_000)]) {
      const record = records.open(owner("ctx_1"));
      await record.putCode(code);
      expect(await record.readCode()).toBe(code);
      expect(await readdir(dir)).toEqual(code.length > 1_000 ? [record.executionId] : []);
    }
  });

  it("counts against the room that there is, and is kept whole or not at all", async () => {
    let room = 10;
    const take = (wanted: number) => {
      const taken = Math.min(wanted, room);
      room -= taken;
      return taken;
    };
    const giveBack = (bytes: number) => {
      room += bytes;
    };
    const record = new ExecutionRecord(join(dir, "exe_1"), owner("ctx_1"), { take, giveBack });
    await record.putCode("x".repeat(11));
    expect(await record.readCode()).toBeUndefined();
    expect(room).toBe(10);
    const other = new ExecutionRecord(join(dir, "exe_2"), owner("ctx_1"), { take, giveBack });
    await other.putCode("x".repeat(9));
    expect(await other.readCode()).toHaveLength(9);
    expect(room).toBe(1);
    await other.remove();
    expect(await other.readCode()).toBeUndefined();
    expect(room).toBe(10);
  });
});

it("the newest display ids are remembered, with the output that was shown last", async () => {
  const record = records.open(owner("ctx_1"));
  const show = async (id: string, output: number) =>
    await record.append(
      {
        execution_id: "e",
        context_id: "c",
        seq: output,
        timestamp: "2026-01-02T03:04:05.678Z",
        type: "display_data",
        data: { mime: new Map(), display_id: id },
      },
      output,
    );
  for (let n = 1; n <= LIMITS.displayIdsKept; n++) await show(`id ${n}`, n);
  await show("id 1", 900);
  await show("one more", 901);
  expect(record.displayIds.size).toBe(LIMITS.displayIdsKept);
  expect(record.displayIds.get("id 1")).toBe(900);
  expect(record.displayIds.has("id 2")).toBe(false);
});

describe("the executions of a context", () => {
  it("are found by context and owner, in their order", () => {
    const [first, second] = [ended("ctx_a"), ended("ctx_b"), ended("ctx_a", "other"), ended("ctx_a")].filter((_, n) => n === 0 || n === 3);
    expect(records.ofContext("ctx_a", "local")).toEqual([first, second]);
  });

  it("are counted when they make room, and not when they never were; of many contexts the newest are known", () => {
    const refused = records.open(owner("ctx_a"));
    records.drop(refused.executionId);
    expect(records.forgotten("ctx_a")).toBe(0);
    for (let n = 0; n < LIMITS.executionsKept; n++) ended("ctx_a");
    for (let n = 0; n < LIMITS.historiesKept + 1; n++) ended(`ctx_${n}`);
    // All of a's, and of the others as many as came too much: their counts came later.
    expect(records.forgotten("ctx_a")).toBe(LIMITS.executionsKept);
    for (let n = 0; n < LIMITS.historiesKept + LIMITS.executionsKept; n++) ended(`ctx_later_${n}`);
    expect(records.forgotten("ctx_a")).toBe(0);
    expect(records.forgotten(`ctx_later_${LIMITS.historiesKept - 1}`)).toBe(1);
  });
});
