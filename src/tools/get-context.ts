import * as z from "zod";
import { inspectContext } from "../contexts/inspection.ts";
import { notebookUri } from "../files/uris.ts";
import { LIMITS } from "../limits.ts";
import { contextFields, contextText } from "./context-reply.ts";
import { defineTool } from "./define-tool.ts";
import { contextId, contextOutput, itsSandboxId } from "./fields.ts";
import { inspectionFields, inspectionOutput, inspectionText } from "./inspection-reply.ts";

const place = z
  .strictObject({ code: z.string().max(LIMITS.lookCodeCharacters), cursor: z.int().min(0).max(LIMITS.lookCodeCharacters).optional() })
  .optional();

export const getContext = defineTool({
  name: "get_context",
  title: "Get context",
  description:
    "What a context is and does now, and what is in it: variables (name, type, shape, size_bytes, preview), installed packages, memory and CPU used. Changes nothing. On an idle context " +
    "`complete` lists the names that fit at a place in code, `inspect` tells signature and documentation of the name there " +
    "(cursor in Unicode code points, default the end).",
  effect: "read",
  input: {
    context_id: contextId,
    sandbox_id: itsSandboxId,
    include: z
      .array(z.enum(["variables", "packages", "usage"]))
      .max(3)
      .optional(),
    complete: place,
    inspect: place,
  },
  output: { ...contextOutput, history: z.string().describe("Its notebook; reads with read_file."), ...inspectionOutput },
  isOpen: true,
  run: async (input, { services, principal, signal }) => {
    const handle = { contextId: input.context_id, sandboxId: input.sandbox_id };
    const context = await services.contexts.get(handle, principal, signal);
    const request = { include: input.include ?? [], complete: input.complete, inspect: input.inspect };
    const inspection = await inspectContext(services.contexts, handle, request, { principal, signal });
    const history = notebookUri(context.contextId);
    const text = [contextText(context), `history ${history}`, ...inspectionText(inspection)].join("\n");
    return { structured: { ...contextFields(context), history, ...inspectionFields(inspection) }, blocks: [{ type: "text", text }] };
  },
});
