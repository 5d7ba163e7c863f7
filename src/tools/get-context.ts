import { contextFields, contextText } from "./context-reply.ts";
import { defineTool } from "./define-tool.ts";
import { contextId, contextOutput, sandboxId } from "./fields.ts";

export const getContext = defineTool({
  name: "get_context",
  title: "Get context",
  description: "What a context is and does now: language, working directory, idle or busy, how much is queued, and its incarnation.",
  effect: "read",
  input: { context_id: contextId, sandbox_id: sandboxId },
  output: contextOutput,
  run: async (input, { services, principal, signal }) => {
    const context = await services.contexts.get({ contextId: input.context_id, sandboxId: input.sandbox_id }, principal, signal);
    return { structured: contextFields(context), blocks: [{ type: "text", text: contextText(context) }] };
  },
});
