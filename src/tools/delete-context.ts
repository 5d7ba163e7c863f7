import * as z from "zod";
import { defineTool } from "./define-tool.ts";
import { contextId, itsSandboxId } from "./fields.ts";

export const deleteContext = defineTool({
  name: "delete_context",
  title: "Delete context",
  description: "End a context and its kernel; its variables are gone, files stay. Fine when it is gone already.",
  effect: "write_idempotent",
  input: { context_id: contextId, sandbox_id: itsSandboxId },
  output: { context_id: z.string(), deleted: z.boolean().describe("False when there was none.") },
  run: async (input, { services, principal, signal }) => {
    const deleted = await services.contexts.delete({ contextId: input.context_id, sandboxId: input.sandbox_id }, principal, signal);
    const text = deleted ? `Deleted context ${input.context_id}.` : "There was no such context; nothing to do.";
    return { structured: { context_id: input.context_id, deleted }, blocks: [{ type: "text", text }] };
  },
});
