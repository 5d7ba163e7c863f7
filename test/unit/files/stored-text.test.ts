import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { streamText } from "../../../src/files/sources.ts";
import { ExecutionRecords } from "../../../src/store/execution-records.ts";

it("text of an execution that is removed while it is read is not found, not shorter", async () => {
  const dir = await mkdtemp(join(tmpdir(), "kernelbox-text-"));
  const records = new ExecutionRecords(dir);
  try {
    const { stdout } = records.open({
      executionId: "exe_1",
      contextId: "ctx_1",
      sandboxId: "sbx_1",
      principal: "local",
      language: "python",
    });
    await stdout.append("x".repeat(600_000));
    const stream = streamText(stdout);
    let bytes = 0;
    const count = (chunk: Buffer) => {
      bytes += chunk.length;
      return true;
    };
    await stream(0, undefined, count);
    expect(bytes).toBe(600_000);
    const removing = stream(0, undefined, async (chunk) => {
      await rm(dir, { recursive: true, force: true });
      return count(chunk);
    });
    await expect(removing).rejects.toMatchObject({ code: "not_found" });
    expect(bytes).toBeLessThan(1_200_000);
  } finally {
    await records.close();
    await rm(dir, { recursive: true, force: true });
  }
});
