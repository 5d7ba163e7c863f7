import * as z from "zod";
import { quoted } from "../events/quoted.ts";
import type { FileEntry, Listing } from "../files/files.ts";
import { LIMITS } from "../limits.ts";
import { defineTool, type ToolReply } from "./define-tool.ts";
import { path, sandboxId } from "./fields.ts";
import { entryFields, entryOutput } from "./file-entry.ts";
import { fits, mostThatFit } from "./reply-size.ts";

/** A path, of whose bytes each may take three characters, as base64. */
const CURSOR_CHARACTERS_MAX = LIMITS.pathBytes * 4;

const output = {
  path: z.string(),
  entries: z.array(z.strictObject(entryOutput)),
  next_cursor: z.string().nullable(),
};

export const listDirectory = defineTool({
  name: "list_directory",
  title: "List directory",
  description:
    "In the sandbox, not on the user's machine: what a folder holds, with sizes and times, ordered by path. Links are listed, not followed.",
  effect: "read",
  input: {
    path: path.optional().describe("Default /home/user."),
    depth: z.int().min(1).max(LIMITS.listDepth).default(1).describe("Levels of folders."),
    limit: z.int().min(1).max(LIMITS.listEntries.max).default(LIMITS.listEntries.default),
    cursor: z.string().max(CURSOR_CHARACTERS_MAX).optional().describe("next_cursor of the reply before."),
    sandbox_id: sandboxId,
  },
  output,
  run: async (input, { services, principal, signal }) => {
    const request = { sandboxId: input.sandbox_id, path: input.path, depth: input.depth, limit: input.limit, cursor: input.cursor };
    let listed = await services.files.list(request, { principal, signal });
    // Asked for again where it is too much, since only the listing itself knows where to go on behind a name that is not UTF-8.
    for (let reply = listingReply(listed); ; reply = listingReply(listed)) {
      const { entries } = listed;
      if (fits(reply) || entries.length <= 1) return reply;
      const limit = mostThatFit(entries.length - 1, (count) => fits(listingReply({ ...listed, entries: entries.slice(0, count) })));
      listed = await services.files.list({ ...request, limit: Math.max(1, limit) }, { principal, signal });
    }
  },
});

function listingReply(listed: Listing): ToolReply<z.input<z.ZodObject<typeof output>>> {
  const more = listed.nextCursor === null ? [] : [`More with cursor ${listed.nextCursor}`];
  const lines = listed.entries.length === 0 ? ["(empty)"] : listed.entries.map(line);
  return {
    structured: {
      path: listed.path,
      entries: listed.entries.map(entryFields),
      next_cursor: listed.nextCursor,
    },
    blocks: [{ type: "text", text: [`${quoted(listed.path)}:`, ...lines, ...more].join("\n") }],
  };
}

const TYPE_MARKS = { file: "-", directory: "d", symlink: "l", other: "?" } as const;

/** Names are quoted: one with a line break in it must not look like two. */
function line(entry: FileEntry): string {
  return `${TYPE_MARKS[entry.type]} ${entry.sizeBytes} ${entry.modifiedAt} ${quoted(entry.path)}`;
}
