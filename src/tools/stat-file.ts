import * as z from "zod";
import { quoted } from "../events/quoted.ts";
import { defineTool } from "./define-tool.ts";
import { path, sandboxId } from "./fields.ts";
import { entryFields, entryOutput, entryWord } from "./file-entry.ts";

export const statFile = defineTool({
  name: "stat_file",
  profile: "files",
  title: "Look at file",
  description:
    "In the sandbox, not on the user's machine: what stands at a path, with size, mode, owner, time and media type. A link is told as a link.",
  effect: "read",
  input: { path, sandbox_id: sandboxId },
  output: { ...entryOutput, mime_type: z.string().nullable(), file_id: z.string().nullable() },
  run: async (input, { services, principal, signal }) => {
    const entry = await services.files.stat({ sandboxId: input.sandbox_id, path: input.path }, { principal, signal });
    const mimeType = entry.type === "file" ? await services.sources.mediaType(entry, { principal, signal }) : null;
    const fileId = entry.type === "file" ? services.identified.idOf({ principal, sandboxId: entry.sandboxId, path: entry.path }) : null;
    const type = mimeType === null ? "" : `, ${mimeType}`;
    return {
      structured: { ...entryFields(entry), mime_type: mimeType, file_id: fileId },
      blocks: [
        {
          type: "text",
          text: `${quoted(entry.path)}: ${entryWord(entry)}${type}, ${entry.sizeBytes} bytes, mode ${entry.mode}, ${entry.modifiedAt}.`,
        },
      ],
    };
  },
});
