import * as z from "zod";
import { isResourceUri } from "../files/uris.ts";
import { LIMITS } from "../limits.ts";
import { contextFields, contextText } from "./context-reply.ts";
import { defineTool } from "./define-tool.ts";
import { contextOutput, env, language, path, sandboxId } from "./fields.ts";

export const createContext = defineTool({
  name: "create_context",
  title: "Create context",
  description:
    "Start a separate kernel with variables of its own. Not needed for ordinary work: execute_code without context_id has a default context. " +
    "Use it to keep two lines of work apart, or to run them side by side. Contexts of one sandbox share its files. It lives until delete_context or the end of its sandbox.",
  effect: "write",
  input: {
    language: language.default("python"),
    cwd: path
      .refine((text) => !isResourceUri(text), "a path is meant, not a URI")
      .optional()
      .describe("Working directory; default /home/user. Made if it is not there."),
    env: env.optional(),
    name: z.string().min(1).max(LIMITS.nameCharacters).optional().describe("A name of yours, shown in lists."),
    sandbox_id: sandboxId,
  },
  output: { ...contextOutput, incarnation: z.number().describe("+1 whenever the kernel was replaced, so variables are gone.") },
  isOpen: true,
  run: async (input, { services, principal, signal }) => {
    const request = { sandboxId: input.sandbox_id, language: input.language, cwd: input.cwd, env: input.env, name: input.name };
    const context = await services.contexts.create(request, principal, signal);
    return { structured: contextFields(context), blocks: [{ type: "text", text: `Created context ${contextText(context)}` }] };
  },
});
