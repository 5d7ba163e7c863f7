import * as z from "zod";
import { LIMITS } from "../limits.ts";
import { contextFields, contextText } from "./context-reply.ts";
import { defineTool } from "./define-tool.ts";
import { contextOutput, sandboxId } from "./fields.ts";
import { page } from "./page.ts";

export const listContexts = defineTool({
  name: "list_contexts",
  title: "List contexts",
  description: "The contexts of a sandbox, oldest first. Empty when nothing was run yet: this makes no sandbox.",
  effect: "read",
  input: {
    sandbox_id: sandboxId,
    limit: z.int().min(1).max(LIMITS.listEntries.max).default(50),
    cursor: z.string().max(200).optional().describe("next_cursor of the reply before."),
  },
  output: { contexts: z.array(z.looseObject(contextOutput)), next_cursor: z.string().nullable() },
  run: async (input, { services, principal, signal }) => {
    const all = await services.contexts.list(input.sandbox_id, principal, signal);
    const { items, nextCursor } = page(all, (context) => context.contextId, input);
    const text = items.length === 0 ? "No contexts." : items.map(contextText).join("\n");
    return {
      structured: { contexts: items.map(contextFields), next_cursor: nextCursor },
      blocks: [{ type: "text", text: nextCursor === null ? text : `${text}\nMore with cursor ${nextCursor}` }],
    };
  },
});
