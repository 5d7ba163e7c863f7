import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Execution } from "../../src/contexts/execution.ts";
import type { ExecutionEvent } from "../../src/events/event.ts";
import { ExecutionFold } from "../../src/events/fold.ts";
import { newId } from "../../src/ids.ts";
import { LIMITS } from "../../src/limits.ts";
import { ExecutionRecords } from "../../src/store/execution-records.ts";
import { guardAgainstLeaks } from "../helpers/containers.ts";
import { startSandbox, type TestSandbox } from "../helpers/sandbox.ts";

guardAgainstLeaks();

let dir: string;
let records: ExecutionRecords;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "kb-execution-"));
  records = new ExecutionRecords(dir);
});
afterAll(async () => {
  await records.close();
  await rm(dir, { recursive: true, force: true });
});

function executionIn({ sandbox }: TestSandbox): Execution {
  const ids = { executionId: newId("exe"), contextId: newId("ctx"), sandboxId: sandbox.sandboxId, language: "python" };
  const owner = { ...ids, principal: "test" };
  const record = records.open(owner);
  const context = { ...owner, isDefault: false, incarnationOffset: 0, lastIncarnation: 1 };
  const execution = new Execution(ids, { sandbox, context, record, fold: new ExecutionFold(), timeoutMs: 1_000, queueMs: 0 });
  sandbox.subscribe(ids.executionId, execution);
  return execution;
}

describe("a supervisor that cannot be trusted", () => {
  it("ends its sandbox when it sends more than may wait here, and the execution tells so", async () => {
    await using box = await startSandbox();
    const execution = executionIn(box);
    const said = (seq: number): ExecutionEvent => ({
      execution_id: execution.ids.executionId,
      context_id: execution.ids.contextId,
      seq,
      timestamp: "",
      type: "stream",
      data: { name: "stdout", text: "x" },
    });
    const messageBytes = 1024 * 1024;
    for (let seq = 1; seq <= LIMITS.pendingEventBytes / messageBytes; seq++) execution.event(said(seq), messageBytes);
    expect(box.sandbox.end).toBeUndefined();
    execution.event(said(1_000), messageBytes);
    expect(box.sandbox.end).toMatchObject({ reason: "sandbox_lost", message: expect.stringContaining("more output") });
    await execution.ended;
    expect(execution.result()).toMatchObject({ status: "died", stdout: { totalBytes: LIMITS.pendingEventBytes / messageBytes } });
  });
});

describe("a container that runs out of memory as a whole", () => {
  it("is told as that, also where the broken stream is noticed first", async () => {
    await using box = await startSandbox();
    const execution = executionIn(box);
    // What the engine's event does; no code can make sure that the supervisor is what the system kills.
    box.sandbox.noteOutOfMemory();
    await box.engine.destroy(box.sandbox.containerId);
    await execution.ended;
    expect(execution.result()).toMatchObject({
      status: "died",
      state: { variables: "lost", reason: "out_of_memory", message: expect.stringContaining("ran out of memory") },
    });
  });
});
