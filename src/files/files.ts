import { KernelboxError } from "../errors.ts";
import { LIMITS } from "../limits.ts";
import { absolutePath, HOME } from "../sandboxes/paths.ts";
import type { Sandbox } from "../sandboxes/sandbox.ts";
import type { Sandboxes } from "../sandboxes/sandboxes.ts";
import { entrySchema, listSchema, readSchema, type SupervisorEntry, writtenSchema } from "../sandboxes/supervisor-schemas.ts";
import { fileError } from "./errors.ts";
import type { OnData } from "./source.ts";
import { fileTarget } from "./uris.ts";

/** The years 1 to 9999, all that RFC 3339 knows: a file's time is whatever its owner set. */
const FIRST_TIME_MS = -62_135_596_800_000;
const LAST_TIME_MS = 253_402_300_799_999;

export interface FileEntry {
  name: string;
  path: string;
  type: "file" | "directory" | "symlink" | "other";
  sizeBytes: number;
  mode: string;
  owner: string;
  group: string;
  modifiedAt: string;
}

export interface WriteFile {
  sandboxId?: string | undefined;
  path: string;
  /** Whoever gives a stream bounds it. */
  content: Buffer | AsyncIterable<Uint8Array>;
  mode?: string | undefined;
  createParents: boolean;
  append: boolean;
  overwrite: boolean;
}

export interface ListDirectory {
  sandboxId?: string | undefined;
  path?: string | undefined;
  depth: number;
  limit: number;
  cursor?: string | undefined;
}

export interface Listing {
  path: string;
  sandboxId: string;
  entries: FileEntry[];
  nextCursor: string | null;
}

export interface Caller {
  principal: string;
  signal?: AbortSignal | undefined;
}

/** Files in sandboxes, by path. Bytes go through the channel; what a path may reach is decided inside, by descriptor. */
export class Files {
  readonly #sandboxes: Sandboxes;

  constructor(sandboxes: Sandboxes) {
    this.#sandboxes = sandboxes;
  }

  async stat(target: { sandboxId?: string | undefined; path: string }, caller: Caller): Promise<FileEntry & { sandboxId: string }> {
    const { path: name, sandboxId } = fileTarget(target);
    const path = absolutePath(name);
    const sandbox = await this.#sandbox(sandboxId, caller, "use");
    try {
      const entry = await sandbox.request("file.stat", { path }, entrySchema, { signal: caller.signal });
      return { ...entryFromSupervisor(entry), sandboxId: sandbox.sandboxId };
    } catch (error) {
      throw fileError(error);
    }
  }

  /**
   * Streams bytes of a regular file to `onData`, from `offset`, at most `limit`. Where `onData` says false the transfer ends early, without
   * an error.
   */
  async read(
    target: { sandboxId: string; path: string; offset: number; limit?: number | undefined },
    caller: Caller,
    onData: OnData,
  ): Promise<void> {
    const sandbox = await this.#sandbox(target.sandboxId, caller, "use");
    const enough = new AbortController();
    const signal = caller.signal === undefined ? enough.signal : AbortSignal.any([caller.signal, enough.signal]);
    const params = {
      path: absolutePath(target.path),
      offset: target.offset,
      ...(target.limit === undefined ? {} : { limit: target.limit }),
    };
    const take = async (chunk: Buffer) => {
      // What came after that is for nobody.
      if (!enough.signal.aborted && !(await onData(chunk))) enough.abort();
    };
    try {
      await sandbox.request("file.read", params, readSchema, { signal, onData: take, stallMs: LIMITS.transferStallMs });
    } catch (error) {
      if (!enough.signal.aborted || caller.signal?.aborted) throw fileError(error);
    }
  }

  async write(request: WriteFile, caller: Caller): Promise<{ path: string; sandboxId: string; sizeBytes: number; created: boolean }> {
    if (Buffer.isBuffer(request.content)) checkContent(request.content);
    const { path: name, sandboxId } = fileTarget({ sandboxId: request.sandboxId, path: request.path });
    const path = absolutePath(name);
    const sandbox = await this.#sandbox(sandboxId, caller, "make");
    const params = {
      path,
      create_parents: request.createParents,
      append: request.append,
      overwrite: request.overwrite,
      ...(request.mode === undefined ? {} : { mode: request.mode }),
    };
    try {
      const written = await sandbox.request("file.write", params, writtenSchema, {
        signal: caller.signal,
        stallMs: LIMITS.transferStallMs,
        body: Buffer.isBuffer(request.content) ? [request.content] : request.content,
      });
      return { path, sandboxId: sandbox.sandboxId, sizeBytes: written.size_bytes, created: written.created };
    } catch (error) {
      throw fileError(error);
    }
  }

  async list(request: ListDirectory, caller: Caller): Promise<Listing> {
    const target = fileTarget({ sandboxId: request.sandboxId, path: request.path ?? HOME });
    return await this.#list(await this.#sandbox(target.sandboxId, caller, "use"), { ...request, ...target }, caller);
  }

  /** The same of the caller's own sandbox, without making one. */
  async listExisting(request: ListDirectory, caller: Caller): Promise<Listing | undefined> {
    const sandbox = await this.#sandboxes.existingDefault(caller.principal);
    return sandbox === undefined ? undefined : await this.#list(sandbox, request, caller);
  }

  async #list(sandbox: Sandbox, request: ListDirectory, caller: Caller): Promise<Listing> {
    const path = absolutePath(request.path ?? HOME);
    const after = request.cursor === undefined ? undefined : decodeCursor(request.cursor);
    const params = { path, depth: request.depth, limit: request.limit, ...(after === undefined ? {} : { after }) };
    try {
      const listed = await sandbox.request("file.list", params, listSchema, { signal: caller.signal });
      return {
        path,
        sandboxId: sandbox.sandboxId,
        entries: listed.entries.map(entryFromSupervisor),
        nextCursor: listed.next == null ? null : Buffer.from(listed.next).toString("base64url"),
      };
    } catch (error) {
      throw fileError(error);
    }
  }

  /** The sandbox that a call means, made now where it means the caller's own and there is none. */
  async sandboxId(sandboxId: string | undefined, caller: Caller): Promise<string> {
    return (await this.#sandbox(sandboxId, caller, "make")).sandboxId;
  }

  async #sandbox(sandboxId: string | undefined, caller: Caller, purpose: "make" | "use"): Promise<Sandbox> {
    if (sandboxId !== undefined) return this.#sandboxes.get(sandboxId, caller.principal);
    return await this.#sandboxes.default(caller.principal, purpose, caller.signal);
  }
}

export function entryFromSupervisor(entry: SupervisorEntry): FileEntry {
  return {
    name: entry.name,
    path: entry.path,
    type: entry.type,
    sizeBytes: entry.size_bytes,
    mode: entry.mode,
    owner: entry.owner,
    group: entry.group,
    modifiedAt: new Date(Math.min(Math.max(entry.mtime_ms, FIRST_TIME_MS), LAST_TIME_MS)).toISOString(),
  };
}

function checkContent(content: Buffer): void {
  if (content.length <= LIMITS.writeFileBytes) return;
  throw new KernelboxError(
    "too_large",
    `The content has ${content.length} bytes; one call takes at most ${LIMITS.writeFileBytes}.`,
    "Write it in parts with append.",
  );
}

function decodeCursor(cursor: string): string {
  const path = Buffer.from(cursor, "base64url").toString("utf8");
  if (!path.startsWith("/") || Buffer.byteLength(path) > LIMITS.pathBytes * 3) {
    throw new KernelboxError("invalid_argument", "The cursor is not one of ours.", "Use next_cursor of the reply before, or leave it out.");
  }
  return path;
}
