import * as z from "zod";
import { escaped, quoted } from "../events/quoted.ts";
import type { Match, SearchResult } from "../files/search.ts";
import { LIMITS } from "../limits.ts";
import { defineTool, type ToolReply } from "./define-tool.ts";
import { path, sandboxId } from "./fields.ts";
import { fits, mostThatFit } from "./reply-size.ts";

const output = {
  path: z.string(),
  matches: z.array(
    z.strictObject({
      path: z.string(),
      line: z.number().nullable(),
      text: z.string().nullable(),
      is_cut: z.boolean().describe("text is the beginning of the line."),
    }),
  ),
  left_out: z.number().describe("Found, but not in this reply."),
  incomplete: z
    .enum(["reply", "limit", "size", "time", "unreadable", "failed"])
    .nullable()
    .describe("Why there may be more; null: this is all."),
};

type Output = z.input<z.ZodObject<typeof output>>;

export const searchFiles = defineTool({
  name: "search_files",
  title: "Search files",
  profile: "files",
  description:
    "In the sandbox, not on the user's machine: finds the lines that match pattern or, without one, the files that match glob, ordered by path. " +
    "Matches within a line. Skips binary files, and hidden ones unless path or glob names them (.github/**); does not follow links, does not obey .gitignore.",
  effect: "read",
  input: {
    pattern: z.string().min(1).max(LIMITS.searchPatternBytes).optional().describe("Rust regular expression; (?i) ignores case."),
    glob: z.string().min(1).max(LIMITS.searchPatternBytes).optional().describe("*.py anywhere, src/**/*.py from path, !*.csv all others."),
    path: path.optional().describe("Folder or file; default /home/user."),
    limit: z.int().min(1).max(LIMITS.searchMatches.max).default(LIMITS.searchMatches.default),
    sandbox_id: sandboxId,
  },
  output,
  run: async (input, { services, principal, signal }) => {
    const { sandbox_id, ...request } = input;
    const result = await services.search.search({ sandboxId: sandbox_id, ...request }, { principal, signal });
    const whole = searchReply(result, result.matches.length);
    if (fits(whole)) return whole;
    return searchReply(
      result,
      mostThatFit(result.matches.length - 1, (count) => fits(searchReply(result, count))),
    );
  },
});

/** The first `count` matches. */
function searchReply(result: SearchResult, count: number): ToolReply<Output> {
  const shown = result.matches.slice(0, count);
  const leftOut = result.matches.length - count;
  const structured: Output = {
    path: result.path,
    matches: shown.map(({ path, line, text, isCut }) => ({ path, line, text, is_cut: isCut })),
    left_out: leftOut,
    incomplete: leftOut > 0 ? "reply" : result.stopped,
  };
  const lines = shown.length === 0 ? ["(nothing found)"] : shown.map(line);
  const notes = [
    ...(leftOut > 0 ? [`${leftOut} more were found, for which this reply has no room.`] : []),
    ...(result.stopped === null ? [] : [STOPS[result.stopped]]),
  ];
  const narrower = notes.length > 0 && result.stopped !== "unreadable" ? ["Narrow the search by path, glob or pattern."] : [];
  return { structured, blocks: [{ type: "text", text: [...lines, ...notes, ...narrower].join("\n") }] };
}

const STOPS: Record<Exclude<SearchResult["stopped"], null>, string> = {
  limit: "There are more: the search stopped at the limit.",
  size: "There may be more: the search stopped when its output became too large.",
  time: "There may be more: the search was stopped when its time was over.",
  unreadable: "Some files or folders could not be read.",
  failed: "There may be more: the search ended before it was done; a line of many megabytes takes more memory than it may have.",
};

/** Names are quoted: one with a line break in it must not look like two. Of the text nothing may hide or reorder what a reader sees; tabs are code. */
function line({ path, line, text, isCut }: Match): string {
  if (line === null || text === null) return quoted(path);
  return `${quoted(path)}:${line}: ${text.split("\t").map(escaped).join("\t")}${isCut ? "…" : ""}`;
}
