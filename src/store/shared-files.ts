import { createHash, randomBytes } from "node:crypto";
import { constants, type FileHandle, open } from "node:fs/promises";
import { KernelboxError } from "../errors.ts";
import { newId } from "../ids.ts";
import { LIMITS } from "../limits.ts";
import type { Log } from "../log.ts";
import { type SharedFileRow, SharedFileRows } from "./shared-file-row.ts";
import { checkSharedName } from "./shared-name.ts";
import { withinStall } from "./within-stall.ts";

const PIECE_BYTES = 256 * 1024;
/** A tmpfs gives out whole pages, so a file counts as what it takes in /mnt/shared. */
const PAGE_BYTES = 4_096;

export interface SharedFile {
  fileId: string;
  name: string;
  sizeBytes: number;
  sha256: string;
  createdAt: string;
  modifiedAt: string;
}

export interface OpenSharedFile extends SharedFile {
  /** The bytes in pieces, as they are when the first is read: a file that is replaced or removed meanwhile is read to its end all the same. */
  read(offset?: number, limit?: number): AsyncIterable<Buffer>;
}

export interface SharedFileBounds {
  /** Of all files of a principal, in whole pages. */
  bytes: number;
  files?: number;
  fileBytes?: number;
}

export interface PutSharedFile {
  principal: string;
  name: string;
  overwrite: boolean;
  /** Read once, to its end unless something fails; where it throws, nothing is kept. */
  body: AsyncIterable<Uint8Array>;
  signal?: AbortSignal | undefined;
}

/** What is kept for one principal, and what is on its way. */
interface Holding {
  rows: Map<string, SharedFileRow>;
  /** One put or removal of a name after the other. */
  turns: Map<string, Promise<unknown>>;
  puts: number;
  newNames: number;
  bytes: number;
  bytesOnTheWay: number;
}

/**
 * Files that are kept for a principal beyond any sandbox, by id. They come in as streams and are there whole or not at all: the row, renamed into
 * place behind the whole content, is what makes a file. A file that is overwritten keeps its id.
 */
export class SharedFiles {
  readonly #rows: SharedFileRows;
  readonly #bounds: Required<SharedFileBounds>;
  readonly #byId = new Map<string, SharedFileRow>();
  readonly #holdings = new Map<string, Holding>();

  private constructor(rows: SharedFileRows, bounds: SharedFileBounds) {
    this.#rows = rows;
    this.#bounds = { files: LIMITS.sharedFiles, fileBytes: LIMITS.sharedFileBytes, ...bounds };
  }

  /** Takes up what an earlier server kept in the folder. */
  static async load(dir: string, bounds: SharedFileBounds, log: Log): Promise<SharedFiles> {
    const rows = new SharedFileRows(dir, log);
    const files = new SharedFiles(rows, bounds);
    for (const row of await rows.read()) files.#keep(row, files.#holding(row.principal));
    return files;
  }

  /** Several puts to one name come one after the other, in the order of the calls. */
  async put(request: PutSharedFile): Promise<SharedFile> {
    checkSharedName(request.name);
    const holding = this.#holding(request.principal);
    if (holding.puts >= LIMITS.sharedUploads) {
      throw new KernelboxError("limit_exceeded", `${holding.puts} uploads of shared files run already.`, "Wait for some to end.");
    }
    holding.puts++;
    try {
      return sharedFile(await inTurn(holding, request.name, () => this.#put(request, holding)));
    } finally {
      holding.puts--;
      this.#letGo(request.principal, holding);
    }
  }

  /** In the order of their names. */
  list(principal: string): SharedFile[] {
    const rows = [...(this.#holdings.get(principal)?.rows.values() ?? [])];
    return rows.sort((a, b) => (a.name < b.name ? -1 : 1)).map(sharedFile);
  }

  /** Undefined for an unknown id and for one of another principal alike. */
  find(fileId: string, principal: string): SharedFile | undefined {
    const row = this.#byId.get(fileId);
    return row?.principal === principal ? sharedFile(row) : undefined;
  }

  /** The same, to be read; `not_found` where there is none. */
  open(fileId: string, principal: string): OpenSharedFile {
    const row = this.#row(fileId, principal);
    return { ...sharedFile(row), read: (offset = 0, limit) => readPieces(this.#rows.contentPath(row.content), offset, limit) };
  }

  /** Copies in sandboxes stay there. */
  async remove(fileId: string, principal: string): Promise<void> {
    const { name } = this.#row(fileId, principal);
    const holding = this.#holding(principal);
    await inTurn(holding, name, async () => {
      const row = this.#row(fileId, principal);
      await this.#rows.remove(fileId);
      this.#byId.delete(fileId);
      holding.rows.delete(name);
      holding.bytes -= inPages(row.size_bytes);
      await this.#rows.removeContent(row.content);
    });
    this.#letGo(principal, holding);
  }

  async #put(request: PutSharedFile, holding: Holding): Promise<SharedFileRow> {
    const { principal, name } = request;
    const before = holding.rows.get(name);
    if (before !== undefined && !request.overwrite) {
      throw new KernelboxError(
        "already_exists",
        "There is a shared file of that name already.",
        "Choose another name, or set overwrite to true.",
        {
          details: { file_id: before.file_id },
        },
      );
    }
    if (before === undefined && holding.rows.size + holding.newNames >= this.#bounds.files) {
      throw new KernelboxError("limit_exceeded", `There are ${this.#bounds.files} shared files already.`, "Remove one that is not needed.");
    }
    const isNew = before === undefined ? 1 : 0;
    holding.newNames += isNew;
    // What it replaces makes room for it.
    holding.bytesOnTheWay -= inPages(before?.size_bytes ?? 0);
    const content = randomBytes(16).toString("hex");
    const reserved = { bytes: 0 };
    try {
      await this.#rows.makeFolders();
      const { sizeBytes, sha256 } = await this.#receive(request, content, holding, reserved);
      const now = new Date().toISOString();
      const row: SharedFileRow = {
        file_id: before?.file_id ?? newId("file"),
        principal,
        name,
        size_bytes: sizeBytes,
        sha256,
        content,
        created_at: before?.created_at ?? now,
        modified_at: now,
      };
      await this.#rows.write(row);
      this.#keep(row, holding);
      if (before !== undefined) await this.#rows.removeContent(before.content);
      return row;
    } catch (thrown) {
      await this.#rows.removeContent(content);
      throw diskError(thrown);
    } finally {
      holding.newNames -= isNew;
      holding.bytesOnTheWay -= reserved.bytes - inPages(before?.size_bytes ?? 0);
    }
  }

  /** Streams the body into its file, and counts it while it comes. */
  async #receive(request: PutSharedFile, content: string, holding: Holding, reserved: { bytes: number }) {
    const hash = createHash("sha256");
    let sizeBytes = 0;
    const file = await open(this.#rows.contentPath(content), constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600);
    try {
      for await (const piece of withinStall(request.body, LIMITS.transferStallMs, request.signal)) {
        sizeBytes += piece.length;
        if (sizeBytes > this.#bounds.fileBytes) {
          throw new KernelboxError(
            "too_large",
            `A shared file may have ${this.#bounds.fileBytes} bytes.`,
            "Keep less of it, or several files.",
          );
        }
        const more = inPages(sizeBytes) - reserved.bytes;
        reserved.bytes += more;
        holding.bytesOnTheWay += more;
        if (holding.bytes + holding.bytesOnTheWay > this.#bounds.bytes) throw this.#full(holding);
        hash.update(piece);
        await writeAll(file, piece, sizeBytes - piece.length);
      }
    } finally {
      await file.close();
    }
    return { sizeBytes, sha256: hash.digest("hex") };
  }

  #full({ bytes }: Holding): KernelboxError {
    return new KernelboxError(
      "limit_exceeded",
      `Shared files may take ${this.#bounds.bytes} bytes together; ${bytes} are taken already.`,
      "Remove one that is not needed (remove_file with its kernelbox://files/ URI), or upload with scope sandbox.",
    );
  }

  #keep(row: SharedFileRow, holding: Holding): void {
    holding.bytes += inPages(row.size_bytes) - inPages(holding.rows.get(row.name)?.size_bytes ?? 0);
    holding.rows.set(row.name, row);
    this.#byId.set(row.file_id, row);
  }

  #row(fileId: string, principal: string): SharedFileRow {
    const row = this.#byId.get(fileId);
    if (row?.principal === principal) return row;
    throw new KernelboxError("not_found", "There is no shared file with this id.", "Use the file_id that upload_file gave.");
  }

  #holding(principal: string): Holding {
    const holding = this.#holdings.get(principal) ?? {
      rows: new Map(),
      turns: new Map(),
      puts: 0,
      newNames: 0,
      bytes: 0,
      bytesOnTheWay: 0,
    };
    this.#holdings.set(principal, holding);
    return holding;
  }

  /** Principals that keep nothing cost nothing. */
  #letGo(principal: string, holding: Holding): void {
    const isEmpty = holding.rows.size === 0 && holding.turns.size === 0 && holding.puts === 0;
    if (isEmpty && this.#holdings.get(principal) === holding) this.#holdings.delete(principal);
  }
}

async function inTurn<T>({ turns }: Holding, name: string, work: () => Promise<T>): Promise<T> {
  const turn = (turns.get(name) ?? Promise.resolve()).then(work, work);
  turns.set(name, turn);
  try {
    return await turn;
  } finally {
    if (turns.get(name) === turn) turns.delete(name);
  }
}

async function writeAll(file: FileHandle, piece: Uint8Array, position: number): Promise<void> {
  for (let at = 0; at < piece.length; ) at += (await file.write(piece, at, piece.length - at, position + at)).bytesWritten;
}

async function* readPieces(path: string, offset: number, limit: number | undefined): AsyncGenerator<Buffer> {
  const file = await open(path, constants.O_RDONLY).catch((cause) => {
    throw new KernelboxError("busy", "The file was replaced or removed before it was read.", "Read it again.", { cause });
  });
  try {
    const end = limit === undefined ? Number.POSITIVE_INFINITY : offset + limit;
    for (let at = offset; at < end; ) {
      const piece = Buffer.allocUnsafe(Math.min(PIECE_BYTES, end - at));
      const { bytesRead } = await file.read(piece, 0, piece.length, at);
      if (bytesRead === 0) return;
      yield piece.subarray(0, bytesRead);
      at += bytesRead;
    }
  } finally {
    await file.close();
  }
}

/** A disk that is full, or may not be used further, is no fault of ours. */
function diskError(thrown: unknown): unknown {
  const code = (thrown as NodeJS.ErrnoException | undefined)?.code ?? "";
  if (!["ENOSPC", "EDQUOT", "EFBIG"].includes(code)) return thrown;
  return new KernelboxError(
    "limit_exceeded",
    "The server has no room on its disk for the file.",
    "Upload less, or ask whoever runs Kernelbox to make room.",
    { cause: thrown },
  );
}

function inPages(bytes: number): number {
  return Math.ceil(bytes / PAGE_BYTES) * PAGE_BYTES;
}

function sharedFile(row: SharedFileRow): SharedFile {
  return {
    fileId: row.file_id,
    name: row.name,
    sizeBytes: row.size_bytes,
    sha256: row.sha256,
    createdAt: row.created_at,
    modifiedAt: row.modified_at,
  };
}
