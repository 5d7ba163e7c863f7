import { contextFields, contextText } from "./context-reply.ts";
import { defineTool } from "./define-tool.ts";
import { contextId, contextOutput, itsSandboxId } from "./fields.ts";

export const restartContext = defineTool({
  name: "restart_context",
  title: "Restart context",
  description:
    "Replace a context's kernel by a new one: all its variables are gone, what runs in it is stopped, its incarnation grows by one. Files stay. " +
    "Use it when a context hangs or its state is spoilt.",
  effect: "destroy",
  input: { context_id: contextId, sandbox_id: itsSandboxId },
  output: contextOutput,
  isOpen: true,
  run: async (input, { services, principal, signal }) => {
    const context = await services.contexts.restart({ contextId: input.context_id, sandboxId: input.sandbox_id }, principal, signal);
    const text = `Restarted; variables are gone, files stay. ${contextText(context)}`;
    return { structured: contextFields(context), blocks: [{ type: "text", text }] };
  },
});
