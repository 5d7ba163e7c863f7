import * as z from "zod";
import { quoted } from "../events/quoted.ts";
import { defineTool } from "./define-tool.ts";
import { furtherPath, path, sandboxId } from "./fields.ts";
import { entryFields, entryOutput, entryWord } from "./file-entry.ts";

export const moveFile = defineTool({
  name: "move_file",
  profile: "files",
  title: "Move or copy file",
  description:
    "In the sandbox, not on the user's machine: move or rename a file or folder, or copy it. destination is the full new path; folders above it are made. Whole or not at all.",
  effect: "destroy",
  input: {
    source: path,
    destination: furtherPath,
    overwrite: z.boolean().default(false),
    copy: z.boolean().default(false),
    missing_ok: z.boolean().default(false).describe("No source but a destination is fine: it was moved before."),
    sandbox_id: sandboxId,
  },
  output: entryOutput,
  run: async (input, { services, principal, signal }) => {
    const { sandbox_id, missing_ok, ...rest } = input;
    const entry = await services.files.move({ ...rest, sandboxId: sandbox_id, missingOk: missing_ok }, { principal, signal });
    return {
      structured: entryFields(entry),
      blocks: [{ type: "text", text: `The ${entryWord(entry)} is at ${quoted(entry.path)} (${entry.sizeBytes} bytes).` }],
    };
  },
});
