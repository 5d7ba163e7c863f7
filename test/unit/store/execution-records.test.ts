import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from "node:fs/promises";
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

const open = (executionId: string, sandboxId = "sbx_1", principal = "local") =>
  records.open({ executionId, contextId: "ctx_1", sandboxId, principal, language: "python" });

describe("the full copy of executions", () => {
  it("gives back what was appended, from memory and from a file alike", async () => {
    const record = open("exe_1");
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
    const record = open("exe_1");
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
    expect(record.notices()).toEqual([expect.stringContaining("1 forms of outputs")]);
    await record.putOutput(1, new Map([["application/json", { json: { a: 1 } }]]));
    expect((await record.readOutput(1))?.bytes.toString()).toBe('{"a":1}');
    expect(await record.readOutput(2)).toBeUndefined();
  });

  it("stops at its bound and counts what is missing", async () => {
    const record = open("exe_1");
    const piece = "x".repeat(32 * 1024 * 1024);
    for (let n = 0; n <= LIMITS.spoolBytesPerExecution / piece.length; n++) await record.stdout.append(piece);
    expect(record.stdout.bytes).toBe(LIMITS.spoolBytesPerExecution);
    expect(record.stdout.droppedBytes).toBe(piece.length);
  });

  it("takes what is replaced or cleared from its budget, so that the newest picture is always there", async () => {
    const record = open("exe_1");
    const picture = Buffer.alloc(32 * 1024 * 1024, 1);
    for (let n = 0; n <= LIMITS.spoolBytesPerExecution / picture.length; n++) {
      await record.putOutput(1, new Map([["image/png", { bytes: picture }]]));
    }
    expect((await record.readOutput(1))?.bytes.length).toBe(picture.length);
    for (let n = 2; n <= 2 + LIMITS.spoolBytesPerExecution / picture.length; n++) {
      await record.dropOutputsBefore(n);
      await record.putOutput(n, new Map([["image/png", { bytes: picture }]]));
      expect(await record.readOutput(n)).toBeDefined();
    }
    expect(await readdir(join(dir, "exe_1"))).toHaveLength(1);
    expect(record.notices()).toEqual([]);
  });

  it("keeps so many outputs, each in one file, and says how many it does not", async () => {
    const record = open("exe_1");
    for (let n = 1; n <= LIMITS.outputsKept + 3; n++) {
      await record.putOutput(
        n,
        new Map([
          ["text/html", { text: "h" }],
          ["text/plain", { text: "t" }],
        ]),
      );
    }
    expect(await readdir(join(dir, "exe_1"))).toHaveLength(LIMITS.outputsKept);
    expect(await record.readOutput(LIMITS.outputsKept + 1)).toBeUndefined();
    expect(record.notices()).toEqual([expect.stringContaining("6 forms of outputs")]);
  });

  it("makes room for a new execution by the oldest that have ended, never by one that runs", async () => {
    const piece = "x".repeat(32 * 1024 * 1024);
    const fill = async (id: string) => {
      const record = open(id);
      for (let at = 0; at < LIMITS.spoolBytesPerExecution; at += piece.length) await record.appendText("stdout", piece);
      return record;
    };
    const running = await fill("exe_running");
    for (let n = 1; n < LIMITS.spoolBytesPerPrincipal / LIMITS.spoolBytesPerExecution; n++)
      (await fill(`exe_${n}`)).end({ status: "ok", variables: "kept" });
    const next = open("exe_next");
    await next.putOutput(1, new Map([["image/png", { bytes: Buffer.from("png") }]]));
    expect((await next.readOutput(1))?.bytes.toString()).toBe("png");
    expect(records.find("exe_1", "local")).toBeUndefined();
    expect(records.find("exe_2", "local")).toBeDefined();
    expect(running.stdout.bytes).toBe(LIMITS.spoolBytesPerExecution);
  }, 60_000);

  it("keeps what ran for long for as long after its end as anything else", async () => {
    const long = open("exe_long");
    for (let n = 1; n <= LIMITS.executionsKept; n++) open(`exe_${n}`).end({ status: "ok", variables: "kept" });
    long.end({ status: "ok", variables: "kept" });
    open("exe_next");
    expect(records.find("exe_long", "local")).toBe(long);
    expect(records.find("exe_2", "local")).toBeUndefined();
  });

  it("is counted as missing where the disk refuses, in words of ours, once", async () => {
    const record = open("exe_1");
    // Where its folder should be is a file.
    await writeFile(join(dir, "exe_1"), "");
    for (let n = 1; n <= 50; n++) {
      await record.appendText("stdout", "x".repeat(100_000));
      await record.putOutput(n, new Map([["text/plain", { text: "t" }]]));
    }
    expect(record.stdout.bytes).toBe(0);
    expect(record.stdout.droppedBytes).toBe(5_000_000);
    expect(record.notices()).toHaveLength(3);
    expect(record.notices().join()).not.toMatch(/ENOTDIR|EEXIST|exe_1/);
  });

  it.skipIf(process.platform !== "linux")("leaves nothing on a disk that is full of what it could not keep whole", async () => {
    const record = open("exe_1");
    await mkdir(join(dir, "exe_1"));
    await symlink("/dev/full", join(dir, "exe_1", "output-1"));
    for (const n of [1, 2]) await record.putOutput(n, new Map([["image/png", { bytes: Buffer.alloc(100_000) }]]));
    expect(await readdir(join(dir, "exe_1"))).toEqual(["output-2"]);
    expect(record.notices().join()).toContain("1 forms of outputs");
  });

  it("that is removed while it is written leaves nothing, and takes nothing more", async () => {
    const record = open("exe_1");
    const writing = Array.from({ length: 200 }, (_, n) => record.putOutput(n, new Map([["text/plain", { text: "t" }]])));
    await new Promise((resolve) => setTimeout(resolve, 5));
    record.end({ status: "died", variables: "lost" });
    await records.close();
    await Promise.all(writing);
    await record.appendText("stdout", "x".repeat(100_000));
    expect(await readdir(dir)).toEqual([]);
    expect(await record.readOutput(1)).toBeUndefined();
  });

  it("is found by its own principal only, outlives its sandbox, and is forgotten by age once it has ended", async () => {
    const record = open("exe_1");
    await record.appendText("stdout", "x".repeat(100_000));
    expect(records.find("exe_1", "local")).toBe(record);
    expect(records.find("exe_1", "other")).toBeUndefined();
    for (let n = 0; n < LIMITS.executionsKept; n++) open(`exe_n${n}`);
    expect(records.find("exe_1", "local")).toBe(record);
    record.end({ status: "ok", variables: "kept" });
    open("exe_last");
    expect(records.find("exe_1", "local")).toBeUndefined();
    expect(records.find("exe_n0", "local")).toBeDefined();
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(await readdir(dir)).toEqual([]);
  });
});
