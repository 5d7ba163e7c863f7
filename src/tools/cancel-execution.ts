import * as z from "zod";
import { KernelboxError } from "../errors.ts";
import { defineTool } from "./define-tool.ts";
import { itsSandboxId } from "./fields.ts";

export const cancelExecution = defineTool({
  name: "cancel_execution",
  title: "Cancel execution",
  description:
    "Stop code that runs, or drop code that waits its turn, by execution_id or by the context it runs in. The code is interrupted first, so that variables are kept; " +
    "code that does not react is killed with its kernel, and then they are lost: the reply says which.",
  effect: "write_idempotent",
  input: { execution_id: z.string().max(40).optional(), context_id: z.string().max(40).optional(), sandbox_id: itsSandboxId },
  output: {
    execution_id: z.string(),
    outcome: z.enum(["stopped", "dropped", "already_ended"]),
    status: z.string(),
    variables: z.enum(["kept", "lost"]),
  },
  run: async (input, { services, principal }) => {
    if ((input.execution_id === undefined) === (input.context_id === undefined)) {
      throw new KernelboxError("invalid_argument", "Give either execution_id or context_id.", "Give one of them.");
    }
    const target = { executionId: input.execution_id, contextId: input.context_id, sandboxId: input.sandbox_id };
    const cancelled = await services.executions.cancel(target, principal);
    const outcome = OUTCOMES[cancelled.state];
    const text = `Execution ${cancelled.executionId}: ${outcome.replace("_", " ")}, status ${cancelled.status}, variables ${cancelled.variables}.`;
    return {
      structured: { execution_id: cancelled.executionId, outcome, status: cancelled.status, variables: cancelled.variables },
      blocks: [{ type: "text", text }],
    };
  },
});

const OUTCOMES = { stopping: "stopped", dropped: "dropped", ended: "already_ended" } as const;
