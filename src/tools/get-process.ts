import * as z from "zod";
import { LIMITS } from "../limits.ts";
import { defineTool } from "./define-tool.ts";
import { itsSandboxId, processId } from "./fields.ts";
import { processReply } from "./process-reply.ts";
import { progressOf } from "./progress.ts";

const offset = z.int().min(0).optional();

export const getProcess = defineTool({
  name: "get_process",
  title: "Get process",
  description:
    "Look at a process of run_command, or wait up to wait_s for its end or for what comes first of wait_for. Answers like run_command, with the output so far; " +
    "with stdout_offset or stderr_offset what was said behind that byte (the reply's next offset goes on there), and wait_for looks there.",
  effect: "read",
  input: {
    process_id: processId,
    wait_s: z.number().min(0).max(LIMITS.waitSeconds).default(0),
    wait_for: z
      .strictObject({
        text: z.string().min(1).max(LIMITS.patternCharacters).optional().describe("Regular expression (RE2)."),
        port: z.int().min(1).max(65_535).optional(),
      })
      .optional(),
    stdout_offset: offset,
    stderr_offset: offset,
    sandbox_id: itsSandboxId,
  },
  output: {
    status: z.string(),
    stdout_next_offset: z.number(),
    stderr_next_offset: z.number(),
    matched: z.boolean().nullable(),
  },
  isOpen: true,
  run: async (input, call) => {
    const progress = call.onProgress === undefined ? undefined : progressOf(call.onProgress);
    const offsets = { stdout: input.stdout_offset, stderr: input.stderr_offset };
    const waitFor =
      input.wait_for === undefined
        ? undefined
        : { ...input.wait_for, offsets: { stdout: offsets.stdout ?? 0, stderr: offsets.stderr ?? 0 } };
    try {
      const caller = { principal: call.principal, signal: call.signal, onOutput: progress?.onOutput };
      const handle = { processId: input.process_id, sandboxId: input.sandbox_id };
      return await processReply(await call.services.processes.get(handle, input.wait_s * 1_000, waitFor, caller), offsets);
    } finally {
      progress?.stop();
    }
  },
});
