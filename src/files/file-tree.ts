import { KernelboxError } from "../errors.ts";
import { LIMITS } from "../limits.ts";
import { absolutePath, HOME } from "../sandboxes/paths.ts";
import type { Sandboxes } from "../sandboxes/sandboxes.ts";
import { entrySchema, listSchema } from "../sandboxes/supervisor-schemas.ts";
import { fileError } from "./errors.ts";
import { type Caller, entryFromSupervisor, type FileEntry } from "./files.ts";

/** The folders whose files are listed as resources. What lies in /tmp can be read all the same. */
export const LISTED_ROOTS = [HOME, "/mnt/shared"] as const;

/** Names that a write uses until it is whole. */
const UNFINISHED = /^\.kernelbox-.*\.part$/;

/** A file in a list, and where the list goes on behind it. */
export interface ListedFile {
  entry: FileEntry;
  after: string;
}

export interface FilePage {
  files: ListedFile[];
  /** Where the next page begins, which may be behind folders. */
  next: string | null;
}

/** The files of sandboxes that live, all of them in a stable order, page by page; and the names that a beginning of a path may mean. */
export class FileTree {
  readonly #sandboxes: Sandboxes;

  constructor(sandboxes: Sandboxes) {
    this.#sandboxes = sandboxes;
  }

  /** Of the principal's sandboxes that live, in the order in which they came to be theirs. */
  sandboxIds(principal: string): string[] {
    return this.#sandboxes.living(principal).map(({ sandboxId }) => sandboxId);
  }

  /** The file's absolute path, where its sandbox is one of the principal's that lives; throws where it lies outside the roots. */
  ownPath(address: { sandboxId: string; path: string }, principal: string): string | undefined {
    return this.sandboxIds(principal).includes(address.sandboxId) ? absolutePath(address.path) : undefined;
  }

  /**
   * Regular files beneath one root in byte order of their paths, after `limit` entries of any kind at the latest. Names that are not UTF-8 are left out:
   * no URI could name them. So is what lies in a folder that is too large to be looked through, and a root that is not there.
   */
  async page(sandboxId: string, root: string, window: { after?: string | undefined; limit: number }, caller: Caller): Promise<FilePage> {
    const { after, limit } = window;
    const params = { path: root, depth: LIMITS.resourceListDepth, limit, ...(after === undefined ? {} : { after }) };
    try {
      const sandbox = this.#sandboxes.get(sandboxId, caller.principal);
      const listed = await sandbox.request("file.list", params, listSchema, { signal: caller.signal });
      const files = listed.entries
        .filter((entry) => entry.type === "file" && entry.lossy !== true && !UNFINISHED.test(entry.name))
        .map((entry) => ({ entry: entryFromSupervisor(entry), after: entry.path.replaceAll("%", "%25") }));
      return { files, next: listed.next ?? null };
    } catch (thrown) {
      const error = fileError(thrown);
      if (LEFT_OUT.has(error.code)) return { files: [], next: null };
      throw error;
    }
  }

  /**
   * What a path may be that begins so, as the template has it: without the first slash. Folders end in a slash, so that the next completion looks into
   * them; names that a URI template would give back as others are left out.
   */
  async completions(sandboxId: string, typed: string, caller: Caller): Promise<string[]> {
    const path = `/${typed.replace(/^\/+/, "")}`;
    const slash = path.lastIndexOf("/");
    const roots = ["/home/user/", "/mnt/shared/", "/tmp/"].filter((root) => root.startsWith(path) && root !== path);
    const found = roots.length > 0 ? roots : await this.#beginning(sandboxId, path.slice(0, slash), path.slice(slash + 1), caller);
    return found.map((one) => one.slice(1)).filter(isPlain);
  }

  async #beginning(sandboxId: string, folder: string, prefix: string, caller: Caller): Promise<string[]> {
    try {
      const sandbox = this.#sandboxes.get(sandboxId, caller.principal);
      const path = absolutePath(folder);
      // The list goes on behind what was typed, which may be a name itself.
      const after = `${path}/${prefix}`.replaceAll("%", "%25");
      const params = { path, depth: 1, limit: LIMITS.completions + 1, after };
      const { entries } = await sandbox.request("file.list", params, listSchema, { signal: caller.signal });
      const exact = prefix === "" ? [] : await this.#exact(sandboxId, `${path}/${prefix}`, caller);
      return [...exact, ...entries.filter((entry) => entry.name.startsWith(prefix) && entry.lossy !== true).map(completed)];
    } catch (thrown) {
      const error = fileError(thrown);
      if (NOTHING_THERE.has(error.code)) return [];
      throw error;
    }
  }

  async #exact(sandboxId: string, path: string, caller: Caller): Promise<string[]> {
    try {
      const sandbox = this.#sandboxes.get(sandboxId, caller.principal);
      return [completed(await sandbox.request("file.stat", { path: absolutePath(path) }, entrySchema, { signal: caller.signal }))];
    } catch (thrown) {
      const error = KernelboxError.from(thrown);
      if (NOTHING_THERE.has(error.code)) return [];
      throw error;
    }
  }
}

const NOTHING_THERE: ReadonlySet<KernelboxError["code"]> = new Set([
  "not_found",
  "invalid_argument",
  "permission_denied",
  "too_large",
  "sandbox_lost",
  "sandbox_expired",
]);
/** The same where a whole root is listed: those of a sandbox that has ended meanwhile are gone with it. */
const LEFT_OUT = NOTHING_THERE;

function completed(entry: { path: string; type: string }): string {
  return entry.type === "directory" ? `${entry.path}/` : entry.path;
}

/** Clients put a value into the template as it is, but for what a URI cannot hold, and some take `%41` for an `A` then. */
function isPlain(path: string): boolean {
  return path.isWellFormed() && !/%[0-9A-Fa-f]{2}|[\p{Cc}]/u.test(path);
}
