import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { LIMITS } from "../../../src/limits.ts";
import { ExecutionRecords } from "../../../src/store/execution-records.ts";

let dir: string;
let records: ExecutionRecords;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "kernelbox-records-"));
  records = new ExecutionRecords(dir);
});
afterEach(async () => {
  await records.close();
  await rm(dir, { recursive: true, force: true });
});

const open = (executionId: string, sandboxId = "sbx_1", principal = "local") => records.open({ executionId, sandboxId, principal });

describe("the full copy of executions", () => {
  it("gives back what was appended, from memory and from a file alike", async () => {
    const record = await open("exe_1");
    await record.stdout.append("short");
    expect(await readdir(dir)).toEqual([]);
    expect((await record.stdout.read(1, 3)).toString()).toBe("hor");
    const long = "0123456789".repeat(10_000);
    await record.stdout.append(long);
    await record.stdout.append("end");
    expect(record.stdout.bytes).toBe(5 + long.length + 3);
    expect((await record.stdout.read(0, 1e9)).toString()).toBe(`short${long}end`);
    expect((await record.stdout.read(record.stdout.bytes - 3, 10)).toString()).toBe("end");
    expect((await record.stdout.read(1e9, 10)).length).toBe(0);
  });

  it("keeps every form of an output, the richest first, and replaces them", async () => {
    const record = await open("exe_1");
    await record.putOutput(
      1,
      new Map([
        ["text/plain", { text: "t" }],
        ["image/png", { bytes: Buffer.from([1, 2]) }],
        ["x/y", { omittedBytes: 9 }],
      ]),
    );
    expect(await record.readOutput(1)).toEqual({ type: "image/png", bytes: Buffer.from([1, 2]) });
    expect((await record.readOutput(1, "text/plain"))?.bytes.toString()).toBe("t");
    expect(await record.readOutput(1, "x/y")).toBeUndefined();
    expect(record.omittedOutputs).toBe(1);
    await record.putOutput(1, new Map([["application/json", { json: { a: 1 } }]]));
    expect((await record.readOutput(1))?.bytes.toString()).toBe('{"a":1}');
    expect(await record.readOutput(2)).toBeUndefined();
  });

  it("stops at its bound and counts what is missing", async () => {
    const record = await open("exe_1");
    const piece = "x".repeat(32 * 1024 * 1024);
    for (let n = 0; n <= LIMITS.spoolBytesPerExecution / piece.length; n++) await record.stdout.append(piece);
    expect(record.stdout.bytes).toBe(LIMITS.spoolBytesPerExecution);
    expect(record.stdout.droppedBytes).toBe(piece.length);
  });

  it("is found by its own principal only, and forgotten with its sandbox and by age", async () => {
    const record = await open("exe_1");
    await record.stdout.append("x".repeat(100_000));
    expect(records.find("exe_1", "local")).toBe(record);
    expect(records.find("exe_1", "other")).toBeUndefined();
    await open("exe_2", "sbx_2");
    await records.removeSandbox("sbx_1");
    expect(records.find("exe_1", "local")).toBeUndefined();
    expect(await readdir(dir)).toEqual([]);
    for (let n = 0; n < LIMITS.executionsKept; n++) await open(`exe_n${n}`, "sbx_2");
    expect(records.find("exe_2", "local")).toBeUndefined();
    expect(records.find("exe_n0", "local")).toBeDefined();
  });
});
