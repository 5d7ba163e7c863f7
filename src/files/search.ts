import * as z from "zod";
import { KernelboxError } from "../errors.ts";
import { LIMITS } from "../limits.ts";
import { absolutePath, HOME } from "../sandboxes/paths.ts";
import type { Sandboxes } from "../sandboxes/sandboxes.ts";
import { fileError } from "./errors.ts";
import type { Caller } from "./files.ts";
import { fileTarget } from "./uris.ts";

export interface SearchFiles {
  sandboxId?: string | undefined;
  path?: string | undefined;
  /** A regular expression that lines are to match; without it the files that match the glob are listed. */
  pattern?: string | undefined;
  glob?: string | undefined;
  limit: number;
}

export interface Match {
  path: string;
  line: number | null;
  text: string | null;
  /** The text is the beginning of a longer line. */
  isCut: boolean;
}

/** Why there may be more than was found; null where that is all. */
export type SearchStop = z.output<typeof searchSchema>["stopped"];

export interface SearchResult {
  path: string;
  matches: Match[];
  stopped: SearchStop;
}

/** What the supervisor answers (docs/channel-protocol.md). */
const searchSchema = z.object({
  matches: z
    .array(
      z.object({
        path: z.string().max(2 * LIMITS.pathBytes),
        line: z.number().int().positive().optional(),
        text: z
          .string()
          .max(2 * LIMITS.searchLineCharacters)
          .optional(),
        cut: z.boolean().default(false),
      }),
    )
    .max(LIMITS.searchMatches.max),
  stopped: z.enum(["limit", "size", "time", "unreadable", "failed"]).nullable(),
});

/** Looks for text and names in the files of a sandbox. The search itself runs there, under bounds of its own. */
export class Search {
  readonly #sandboxes: Sandboxes;

  constructor(sandboxes: Sandboxes) {
    this.#sandboxes = sandboxes;
  }

  async search(request: SearchFiles, caller: Caller): Promise<SearchResult> {
    const { pattern, glob, limit } = request;
    if (pattern === undefined && glob === undefined) {
      throw new KernelboxError("invalid_argument", "There is nothing to search for.", "Give a pattern, a glob, or both.");
    }
    checkText("pattern", pattern);
    checkText("glob", glob);
    const target = fileTarget({ sandboxId: request.sandboxId, path: request.path ?? HOME });
    const path = absolutePath(target.path);
    const sandbox =
      target.sandboxId === undefined
        ? await this.#sandboxes.default(caller.principal, "use", caller.signal)
        : this.#sandboxes.get(target.sandboxId, caller.principal);
    try {
      const params = { path, limit, ...(pattern === undefined ? {} : { pattern }), ...(glob === undefined ? {} : { glob }) };
      const found = await sandbox.request("file.search", params, searchSchema, { signal: caller.signal });
      const matches = found.matches.map(({ path, line = null, text = null, cut }) => ({ path, line, text, isCut: cut }));
      return { path, matches, stopped: found.stopped };
    } catch (error) {
      throw searchError(error);
    }
  }
}

function checkText(name: string, text: string | undefined): void {
  if (text === undefined || (Buffer.byteLength(text) <= LIMITS.searchPatternBytes && !text.includes("\0") && text.isWellFormed())) return;
  throw new KernelboxError(
    "invalid_argument",
    `The ${name} is longer than ${LIMITS.searchPatternBytes} bytes, or holds a NUL character or half a surrogate pair.`,
    "Use a shorter one, of whole characters.",
  );
}

/** The supervisor's refusals that are about the search and not about the path. */
function searchError(thrown: unknown): KernelboxError {
  const error = KernelboxError.from(thrown);
  const { details } = error;
  if (details?.ripgrep !== undefined) {
    return new KernelboxError(
      "invalid_argument",
      "The pattern is no regular expression that can be searched for, or the glob is none; ripgrep's own words are in the details.",
      "Patterns match within a line, in Rust's syntax without look-around and back-references; escape ( ) [ ] { } . * + ? | ^ $ \\ to mean the character itself.",
      { cause: error, details },
    );
  }
  if (error.code === "busy" && details?.sandbox_message !== undefined) {
    return new KernelboxError("busy", "Other searches run in this sandbox.", "Call again when they are done.", { cause: error, details });
  }
  if (error.code === "unsupported" && details?.sandbox_message !== undefined) {
    return new KernelboxError(
      "unsupported",
      "The sandbox's image cannot search: it has no ripgrep, or one that is not understood.",
      "Search in code instead (in Python: os.walk and re).",
      { cause: error, details },
    );
  }
  return fileError(error);
}
