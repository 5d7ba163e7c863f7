import type * as z from "zod";
import { KernelboxError } from "../errors.ts";
import { LIMITS } from "../limits.ts";
import { absolutePath, HOME } from "../sandboxes/paths.ts";
import type { Sandbox } from "../sandboxes/sandbox.ts";
import type { Sandboxes } from "../sandboxes/sandboxes.ts";
import {
  entrySchema,
  listSchema,
  readSchema,
  removedSchema,
  type SupervisorEntry,
  statSchema,
  writtenSchema,
} from "../sandboxes/supervisor-schemas.ts";
import { fileError } from "./errors.ts";
import type { OnData } from "./source.ts";
import { isSameOrGrown, type SeenFile } from "./unchanged.ts";
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
  /** Only where the file is still of this version (`stat` tells it); else `busy`. */
  ifVersion?: string | undefined;
}

/** A path in a sandbox, or a file's URI. */
export interface FileTarget {
  sandboxId?: string | undefined;
  path: string;
}

export interface MoveFile {
  sandboxId?: string | undefined;
  source: string;
  destination: string;
  overwrite: boolean;
  copy: boolean;
  /** Where the source is not there but the destination is, it was moved already. */
  missingOk: boolean;
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

  /** `version` is another text once the file is another one or was changed. */
  async stat(target: FileTarget, caller: Caller): Promise<FileEntry & { sandboxId: string; version: string }> {
    const { path, sandbox } = await this.#place(target, caller, "use");
    const entry = await request(sandbox, "file.stat", { path }, statSchema, caller);
    return { ...entryFromSupervisor(entry), version: entry.version, sandboxId: sandbox.sandboxId };
  }

  /** A folder; fine where it is there. */
  async make(target: FileTarget & { parents: boolean; mode: string }, caller: Caller): Promise<FileEntry> {
    const { path, sandbox } = await this.#place(target, caller, "make");
    const params = { path, parents: target.parents, mode: target.mode };
    return entryFromSupervisor(await request(sandbox, "file.make", params, entrySchema, caller));
  }

  /** Moves a file or folder, or copies it: whole or not at all. */
  async move(target: MoveFile, caller: Caller): Promise<FileEntry> {
    const from = await this.#place({ sandboxId: target.sandboxId, path: target.source }, caller, "use");
    const { path: destination, sandbox } = await this.#place(
      { sandboxId: from.sandbox.sandboxId, path: target.destination },
      caller,
      "use",
    );
    const params = { source: from.path, destination, overwrite: target.overwrite, copy: target.copy };
    try {
      return entryFromSupervisor(await request(sandbox, "file.move", params, entrySchema, caller, LIMITS.treeMs));
    } catch (error) {
      if (!target.missingOk || KernelboxError.from(error).code !== "not_found") throw error;
      return await this.stat({ sandboxId: sandbox.sandboxId, path: destination }, caller);
    }
  }

  /** False where it was not there, and that is fine. */
  async remove(
    target: FileTarget & { recursive: boolean; missingOk: boolean },
    caller: Caller,
  ): Promise<{ path: string; removed: boolean }> {
    const { path, sandbox } = await this.#place(target, caller, "use");
    try {
      const params = { path, recursive: target.recursive };
      return { path, ...(await request(sandbox, "file.remove", params, removedSchema, caller, LIMITS.treeMs)) };
    } catch (error) {
      if (target.missingOk && KernelboxError.from(error).code === "not_found") return { path, removed: false };
      throw error;
    }
  }

  /**
   * Streams bytes of a regular file to `onData`, from `offset`, at most `limit`. Where `onData` says false the transfer ends early, without
   * an error. What was `seen` of the file before must hold still; else, and where it is changed meanwhile, `busy`.
   */
  async read(
    target: { sandboxId: string; path: string; offset: number; limit?: number | undefined; seen?: SeenFile },
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
    let read: z.output<typeof readSchema>;
    try {
      read = await sandbox.request("file.read", params, readSchema, { signal, onData: take, stallMs: LIMITS.transferStallMs });
    } catch (error) {
      if (enough.signal.aborted && !caller.signal?.aborted) return;
      throw fileError(error);
    }
    const isOther = target.seen !== undefined && !isSameOrGrown(target.seen, { version: read.version, sizeBytes: read.size_bytes });
    if (read.changed || isOther) {
      throw new KernelboxError("busy", "The file was changed while it was read.", "Try again when nothing writes to it.");
    }
  }

  async write(request: WriteFile, caller: Caller): Promise<{ path: string; sandboxId: string; sizeBytes: number; created: boolean }> {
    if (Buffer.isBuffer(request.content)) checkContent(request.content);
    const { path, sandbox } = await this.#place({ sandboxId: request.sandboxId, path: request.path }, caller, "make");
    const params = {
      path,
      create_parents: request.createParents,
      append: request.append,
      overwrite: request.overwrite,
      ...(request.mode === undefined ? {} : { mode: request.mode }),
      ...(request.ifVersion === undefined ? {} : { if_version: request.ifVersion }),
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

  /** Where pictures of files that are in no sandbox are made smaller. */
  livingSandboxId(principal: string): string | undefined {
    return this.#sandboxes.living(principal)[0]?.sandboxId;
  }

  /** The sandbox that a call means, made now where it means the caller's own and there is none. */
  async sandboxId(sandboxId: string | undefined, caller: Caller): Promise<string> {
    return (await this.#sandbox(sandboxId, caller, "make")).sandboxId;
  }

  async #place(target: FileTarget, caller: Caller, purpose: "make" | "use"): Promise<{ path: string; sandbox: Sandbox }> {
    const { path: name, sandboxId } = fileTarget({ sandboxId: target.sandboxId, path: target.path });
    const path = absolutePath(name);
    return { path, sandbox: await this.#sandbox(sandboxId, caller, purpose) };
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

async function request<T>(
  sandbox: Sandbox,
  method: string,
  params: Record<string, unknown>,
  schema: z.ZodType<T>,
  caller: Caller,
  deadlineMs?: number,
): Promise<T> {
  try {
    return await sandbox.request(method, params, schema, { signal: caller.signal, deadlineMs });
  } catch (error) {
    throw fileError(error);
  }
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
