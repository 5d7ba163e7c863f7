import * as z from "zod";
import { escaped } from "../events/quoted.ts";
import { LIMITS } from "../limits.ts";
import { defineTool } from "./define-tool.ts";
import { sandboxId } from "./fields.ts";
import { page } from "./page.ts";

export const listProcesses = defineTool({
  name: "list_processes",
  title: "List processes",
  profile: "processes",
  description:
    "All that runs in a sandbox, by pid, whoever started it. process_id names the process of run_command that it belongs to, context_id the context whose kernel it is. Makes no sandbox.",
  effect: "read",
  input: {
    sandbox_id: sandboxId,
    limit: z.int().min(1).max(LIMITS.listEntries.max).default(LIMITS.listEntries.default),
    cursor: z.string().max(20).optional().describe("next_cursor of the reply before."),
  },
  output: {
    processes: z.array(
      z.strictObject({
        pid: z.number(),
        parent_pid: z.number(),
        command: z.string(),
        state: z.string().describe("As ps tells it: R, S, D, T, Z."),
        cpu_s: z.number(),
        memory_bytes: z.number(),
        started_at: z.string(),
        process_id: z.string().nullable(),
        context_id: z.string().nullable(),
        is_kernel: z.boolean(),
      }),
    ),
    more: z.number().describe("Processes that are not told at all."),
    next_cursor: z.string().nullable(),
  },
  run: async (input, { services, principal, signal }) => {
    const { processes, more } = await services.processes.list(input.sandbox_id, { principal, signal });
    const { items, nextCursor } = page(processes, ({ pid }) => String(pid), input);
    const told = items.map((each) => ({
      pid: each.pid,
      parent_pid: each.parentPid,
      command: each.command.toWellFormed(),
      state: each.state,
      cpu_s: each.cpuSeconds,
      memory_bytes: each.memoryBytes,
      started_at: each.startedAt,
      process_id: each.processId,
      context_id: each.contextId,
      is_kernel: each.contextId !== null,
    }));
    const lines = told.map((each) => {
      const whose = each.process_id ?? (each.context_id === null ? "" : `kernel of ${each.context_id}`);
      return `${each.pid} ${each.state} ${each.cpu_s} s ${each.memory_bytes} bytes ${escaped(each.command)}${whose === "" ? "" : ` (${whose})`}`;
    });
    if (nextCursor !== null) lines.push(`More with cursor ${nextCursor}`);
    return {
      structured: { processes: told, more, next_cursor: nextCursor },
      blocks: [{ type: "text", text: lines.length === 0 ? "Nothing runs." : lines.join("\n") }],
    };
  },
});
