import * as z from "zod";
import { quoted } from "../events/quoted.ts";
import { defineTool } from "./define-tool.ts";
import { path, sandboxId } from "./fields.ts";

export const removeFile = defineTool({
  name: "remove_file",
  profile: "files",
  title: "Remove file",
  description:
    "In the sandbox, not on the user's machine: remove a file, a link or a folder; or a shared file, by its kernelbox://files/ URI, whose copies stay. There is no way back.",
  effect: "destroy",
  input: {
    path,
    recursive: z.boolean().default(false).describe("A folder with all that is in it."),
    missing_ok: z.boolean().default(false),
    sandbox_id: sandboxId,
  },
  output: { path: z.string(), removed: z.boolean() },
  run: async (input, { services, principal, signal }) => {
    const target = { sandboxId: input.sandbox_id, path: input.path, recursive: input.recursive, missingOk: input.missing_ok };
    const kept = await services.identified.removeShared(target, principal);
    const done = kept ?? (await services.files.remove(target, { principal, signal }));
    return {
      structured: done,
      blocks: [{ type: "text", text: done.removed ? `Removed ${quoted(done.path)}.` : `There was nothing at ${quoted(done.path)}.` }],
    };
  },
});
