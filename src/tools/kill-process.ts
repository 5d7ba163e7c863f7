import * as z from "zod";
import { LIMITS } from "../limits.ts";
import { defineTool } from "./define-tool.ts";
import { itsSandboxId, processId } from "./fields.ts";
import { processReply } from "./process-reply.ts";

const { default: grace, max } = LIMITS.killGraceSeconds;

export const killProcess = defineTool({
  name: "kill_process",
  title: "Kill process",
  description: "End a process and all that it started: signal, and after grace_s KILL. HUP, USR1, STOP, CONT and the like are only sent.",
  effect: "write_idempotent",
  input: {
    process_id: processId,
    signal: z.string().max(20).default("TERM"),
    grace_s: z.number().min(0).max(max).default(grace),
    sandbox_id: itsSandboxId,
  },
  output: { status: z.string() },
  isOpen: true,
  run: async (input, { services, principal, signal }) => {
    const handle = { processId: input.process_id, sandboxId: input.sandbox_id };
    return await processReply(await services.processes.kill(handle, input.signal, input.grace_s, { principal, signal }));
  },
});
