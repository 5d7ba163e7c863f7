import * as z from "zod";
import { escaped, quoted } from "../events/quoted.ts";
import { editFile as edit } from "../files/edit-file.ts";
import { LIMITS } from "../limits.ts";
import { defineTool } from "./define-tool.ts";
import { path, sandboxId } from "./fields.ts";

export const editFile = defineTool({
  name: "edit_file",
  profile: "files",
  title: "Edit file",
  description:
    "In the sandbox, not on the user's machine: replace exact pieces of a text file, in order. Each old_text must be in the file just once, as it stands there with all its spaces, or replace_all be set. " +
    "All edits are made or none. The reply shows what changed.",
  effect: "destroy",
  input: {
    path,
    edits: z
      .array(z.strictObject({ old_text: z.string(), new_text: z.string(), replace_all: z.boolean().default(false) }))
      .min(1)
      .max(LIMITS.edits),
    dry_run: z.boolean().default(false).describe("Only show what would change."),
    sandbox_id: sandboxId,
  },
  output: { path: z.string(), size_bytes: z.number(), diff: z.string().nullable().describe("Unified.") },
  run: async (input, { services, principal, signal }) => {
    const edits = input.edits.map(({ old_text, new_text, replace_all }) => ({
      oldText: old_text,
      newText: new_text,
      replaceAll: replace_all,
    }));
    const request = { sandboxId: input.sandbox_id, path: input.path, edits, dryRun: input.dry_run };
    const done = await edit(services.files, request, { principal, signal });
    const diff = done.diff === null ? null : shown(done.diff);
    const verb = input.dry_run ? "Nothing was written. It would change" : "Changed";
    return {
      structured: { path: done.path, size_bytes: done.sizeBytes, diff },
      blocks: [{ type: "text", text: `${verb} ${quoted(done.path)} (${done.sizeBytes} bytes):\n${diff ?? "(too much to compare)"}` }],
    };
  },
});

/** Without what a reader cannot see, and cut at a line where it is long. */
function shown(diff: string): string {
  const lines = diff.split("\n").map((line) => line.replace(/[^\t]+/g, escaped));
  const kept: string[] = [];
  let characters = 0;
  for (const line of lines) {
    characters += line.length + 1;
    if (characters > LIMITS.diffCharacters)
      return [...kept, `[… ${lines.length - kept.length} more lines of the difference; read_file shows the file …]`].join("\n");
    kept.push(line);
  }
  return kept.join("\n");
}
