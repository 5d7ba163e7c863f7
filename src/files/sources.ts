import { KernelboxError } from "../errors.ts";
import { LIMITS } from "../limits.ts";
import { sharedPath } from "../sandboxes/paths.ts";
import type { ExecutionRecord } from "../store/execution-record.ts";
import type { ExecutionRecords } from "../store/execution-records.ts";
import type { ProcessRecords } from "../store/process-records.ts";
import type { SpooledText } from "../store/spooled-text.ts";
import type { Caller, Files } from "./files.ts";
import type { IdentifiedFiles } from "./identified-files.ts";
import { typeOfContent, typeOfName } from "./media-type.ts";
import { contextNotebook, type ListedNotebook, listNotebooks } from "./notebooks/context-notebook.ts";
import { readBytes } from "./read-window.ts";
import type { Source } from "./source.ts";
import { fileUri, isResourceUri, parseUri, type ResourceAddress } from "./uris.ts";

type StoredAddress = Exclude<ResourceAddress, { kind: "file" | "notebook" | "identified" | "process" }>;

const PIECE_BYTES = 256 * 1024;

/** Finds the source that a path or a `kernelbox://` URI names. */
export class Sources {
  readonly #files: Files;
  readonly #records: ExecutionRecords;
  readonly #processes: ProcessRecords;
  readonly #identified: IdentifiedFiles;
  readonly #describe: (record: ExecutionRecord) => object | undefined;

  /** `describe` gives what a reply would say of an execution now. */
  constructor(parts: {
    files: Files;
    records: ExecutionRecords;
    processes: ProcessRecords;
    identified: IdentifiedFiles;
    describe: (record: ExecutionRecord) => object | undefined;
  }) {
    this.#files = parts.files;
    this.#records = parts.records;
    this.#processes = parts.processes;
    this.#identified = parts.identified;
    this.#describe = parts.describe;
  }

  async open(target: { sandboxId?: string | undefined; path: string }, caller: Caller): Promise<Source> {
    if (!isResourceUri(target.path)) return await this.#file(target.sandboxId, target.path, caller);
    const address = parseUri(target.path);
    if (address === undefined) throw unknownResource();
    if (address.kind === "file") return await this.#file(target.sandboxId, target.path, caller);
    if (address.kind === "identified") return await this.#byId(target.path, address.fileId, caller);
    if (address.kind === "process") return this.#processOutput(target.path, address, caller.principal);
    if (address.kind === "notebook") return await this.#notebook(address.contextId, caller.principal);
    return await this.#stored(target.path, address, caller.principal);
  }

  /** By its path, or by its URI. */
  async #file(sandboxId: string | undefined, path: string, caller: Caller): Promise<Source> {
    const entry = await this.#files.stat({ sandboxId, path }, caller);
    if (entry.type !== "file") throw notAFile(entry.type);
    return {
      uri: fileUri(entry.sandboxId, entry.path),
      sandboxId: entry.sandboxId,
      path: entry.path,
      fileId: this.#identified.idOf({ principal: caller.principal, sandboxId: entry.sandboxId, path: entry.path }),
      sizeBytes: entry.sizeBytes,
      mimeType: typeOfName(entry.path),
      modifiedAt: entry.modifiedAt,
      mode: entry.mode,
      // No further than it reached when it was opened: more would be of no size that is told.
      stream: (offset, limit = entry.sizeBytes, onData) => {
        const left = Math.max(0, entry.sizeBytes - offset);
        const target = { sandboxId: entry.sandboxId, path: entry.path, offset, limit: Math.min(limit, left), seen: entry };
        return this.#files.read(target, caller, onData);
      },
    };
  }

  /** A shared file reads as it is kept, whatever became of its copies; one of a sandbox as it is there. */
  async #byId(uri: string, fileId: string, caller: Caller): Promise<Source> {
    const found = this.#identified.find(fileId, caller.principal);
    if (found === undefined) throw unknownResource();
    if (found.scope === "sandbox") return await this.#file(found.sandboxId, found.path, caller);
    const { file } = found;
    return {
      uri,
      sandboxId: this.#files.livingSandboxId(caller.principal) ?? "",
      path: sharedPath(file.name),
      fileId,
      sizeBytes: file.sizeBytes,
      mimeType: typeOfName(file.name),
      modifiedAt: file.modifiedAt,
      mode: null,
      stream: async (offset, limit, onData) => {
        for await (const piece of file.read(offset, limit)) if (!(await onData(piece))) return;
      },
    };
  }

  /** Of a file, by how it begins and by its name; by its name where it cannot be read. */
  async mediaType(target: { sandboxId: string; path: string }, caller: Caller): Promise<string> {
    const source = await this.#file(target.sandboxId, target.path, caller);
    try {
      return typeOfContent(source.mimeType, await readBytes(source, 0, LIMITS.mediaTypeBytes));
    } catch (error) {
      if (caller.signal?.aborted) throw error;
      return source.mimeType;
    }
  }

  /** Of the contexts that ran code last. */
  notebooks(principal: string): ListedNotebook[] {
    return listNotebooks(this.#records, principal, LIMITS.notebooksListed);
  }

  /** Of those that are kept, the newest first. */
  executionIds(principal: string): string[] {
    return this.#records
      .all(principal)
      .map(({ executionId }) => executionId)
      .reverse();
  }

  /** What a file's id stands for, where that is a file of a sandbox. */
  placeOf(address: ResourceAddress, principal: string): ResourceAddress {
    const found = address.kind === "identified" ? this.#identified.find(address.fileId, principal) : undefined;
    return found?.scope === "sandbox" ? { kind: "file", sandboxId: found.sandboxId, path: found.path } : address;
  }

  /** Another text whenever what is kept may have changed; undefined where nothing is. */
  version(address: Exclude<ResourceAddress, { kind: "file" }>, principal: string): string | undefined {
    if (address.kind === "identified") {
      const found = this.#identified.find(address.fileId, principal);
      return found?.scope === "shared" ? `${found.file.modifiedAt} ${found.file.sha256}` : undefined;
    }
    if (address.kind === "notebook") {
      const executions = this.#records.ofContext(address.contextId, principal);
      return executions.length === 0 ? undefined : executions.map(({ executionId, lastEvent }) => `${executionId}:${lastEvent}`).join();
    }
    if (address.kind === "process") {
      const record = this.#processes.find(address.processId, principal);
      return record === undefined ? undefined : String(record[address.stream].bytes);
    }
    const record = this.#records.find(address.executionId, principal);
    if (record === undefined) return undefined;
    return address.kind === "stream" ? String(record[address.stream].bytes) : `${record.lastEvent}:${record.outcome?.status ?? ""}`;
  }

  async #notebook(contextId: string, principal: string): Promise<Source> {
    const notebook = await contextNotebook(this.#records, contextId, principal);
    if (notebook !== undefined) return notebook;
    throw new KernelboxError(
      "not_found",
      "There is no history of this context: nothing ran in it, or what did made room for newer executions.",
      "Use list_contexts to see which contexts there are; the notebook begins with the first code that runs.",
    );
  }

  #processOutput(uri: string, { processId, stream }: Extract<ResourceAddress, { kind: "process" }>, principal: string): Source {
    const record = this.#processes.find(processId, principal);
    if (record === undefined) throw unknownResource();
    const text = record[stream];
    const base = { uri, sandboxId: record.sandboxId, path: uri, fileId: null, modifiedAt: null, mode: null };
    return { ...base, sizeBytes: text.bytes, mimeType: "text/plain", stream: streamText(text) };
  }

  async #stored(uri: string, address: StoredAddress, principal: string): Promise<Source> {
    const record = this.#records.find(address.executionId, principal);
    if (record === undefined) throw unknownResource();
    const base = { uri, sandboxId: record.sandboxId, path: uri, fileId: null, modifiedAt: null, mode: null };
    if (address.kind === "stream") {
      const text = record[address.stream];
      return { ...base, sizeBytes: text.bytes, mimeType: "text/plain", stream: streamText(text) };
    }
    if (address.kind === "execution") {
      const described = this.#describe(record);
      if (described === undefined) throw unknownResource();
      const bytes = Buffer.from(JSON.stringify({ ...described, code: (await record.readCode()) ?? null }));
      return { ...base, sizeBytes: bytes.length, mimeType: "application/json", stream: streamBytes(bytes) };
    }
    const output = await record.readOutput(address.n, address.type);
    if (output === undefined) throw unknownResource();
    return { ...base, sizeBytes: output.bytes.length, mimeType: output.type, stream: streamBytes(output.bytes) };
  }
}

export function unknownResource(): KernelboxError {
  return new KernelboxError(
    "not_found",
    "There is no resource of this name.",
    "Use a uri from a reply; of what executions left the oldest makes room for the newest.",
  );
}

function notAFile(type: string): KernelboxError {
  const what = { directory: "a directory", symlink: "a symbolic link", other: "a special file" }[type] ?? "not a file";
  return new KernelboxError(
    "invalid_argument",
    `The path is ${what}, not a regular file.`,
    type === "directory" ? "Use list_directory." : "Use the path of a regular file; links are not followed.",
  );
}

/** Of a text that is kept. */
export function streamText(text: SpooledText): Source["stream"] {
  return async (offset, limit, onData) => {
    const end = limit === undefined ? text.bytes : Math.min(text.bytes, offset + limit);
    for (let at = offset; at < end; ) {
      const piece = await text.read(at, Math.min(PIECE_BYTES, end - at));
      // Removed meanwhile, to make room for others.
      if (piece.length === 0) throw unknownResource();
      if (!(await onData(piece))) return;
      at += piece.length;
    }
  };
}

function streamBytes(bytes: Buffer): Source["stream"] {
  return async (offset, limit, onData) => {
    const piece = bytes.subarray(offset, limit === undefined ? undefined : offset + limit);
    if (piece.length > 0) await onData(piece);
  };
}
