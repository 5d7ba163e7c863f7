import * as z from "zod";
import { quoted } from "../events/quoted.ts";
import { defineTool } from "./define-tool.ts";
import { mode, path, sandboxId } from "./fields.ts";
import { entryFields, entryOutput } from "./file-entry.ts";

export const makeDirectory = defineTool({
  name: "make_directory",
  profile: "files",
  title: "Make directory",
  description: "In the sandbox, not on the user's machine: make a folder, and those above it. Fine where it is there already.",
  effect: "make",
  input: { path, parents: z.boolean().default(true), mode: mode.default("755"), sandbox_id: sandboxId },
  output: entryOutput,
  run: async (input, { services, principal, signal }) => {
    const target = { sandboxId: input.sandbox_id, path: input.path, parents: input.parents, mode: input.mode };
    const entry = await services.files.make(target, { principal, signal });
    return { structured: entryFields(entry), blocks: [{ type: "text", text: `The folder ${quoted(entry.path)} is there.` }] };
  },
});
