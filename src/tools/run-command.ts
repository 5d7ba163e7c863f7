import * as z from "zod";
import { LIMITS } from "../limits.ts";
import { defineTool } from "./define-tool.ts";
import { env, furtherPath, sandboxId } from "./fields.ts";
import { processOutput } from "./process-output.ts";
import { processReply } from "./process-reply.ts";
import { progressOf } from "./progress.ts";

export const terminalSize = z.strictObject({ rows: z.int().min(1).max(1_000), columns: z.int().min(1).max(1_000) });

export const runCommand = defineTool({
  name: "run_command",
  title: "Run command",
  description:
    'Run a shell command in the sandbox. Any exit code is a normal reply. At timeout_s it is ended with all that it started. One that takes longer than a call may goes on, with status "running"; ' +
    "so do servers, with background. get_process waits for both, kill_process ends them. No state but files stays between commands.",
  effect: "destroy",
  input: {
    command: z.string().optional().describe("A line for bash -c."),
    argv: z.array(z.string()).optional().describe("Instead: a program and its arguments, without a shell."),
    cwd: furtherPath.optional(),
    env: env.optional(),
    stdin: z.string().optional(),
    timeout_s: z
      .number()
      .positive()
      .max(LIMITS.timeoutSeconds.max)
      .optional()
      .describe(`Default ${LIMITS.timeoutSeconds.default}, in the background none.`),
    background: z.boolean().optional(),
    pty: z.union([z.boolean(), terminalSize]).optional().describe("In a terminal."),
    sandbox_id: sandboxId,
  },
  output: processOutput,
  isOpen: true,
  run: async (input, call) => {
    const progress = call.onProgress === undefined ? undefined : progressOf(call.onProgress);
    const request = {
      command: input.command,
      argv: input.argv,
      cwd: input.cwd,
      env: input.env,
      stdin: input.stdin,
      timeoutSeconds: input.timeout_s,
      background: input.background,
      terminal: input.pty === true ? { rows: 24, columns: 80 } : input.pty || undefined,
      sandboxId: input.sandbox_id,
    };
    try {
      const caller = { principal: call.principal, signal: call.signal, onOutput: progress?.onOutput };
      const { structured, blocks } = await processReply(await call.services.processes.run(request, caller));
      const { stdout_next_offset, stderr_next_offset, matched, is_alive, usage, ...told } = structured;
      return { structured: told, blocks };
    } finally {
      progress?.stop();
    }
  },
});
