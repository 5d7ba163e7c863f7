import { posix } from "node:path";
import { KernelboxError } from "../../errors.ts";
import { LIMITS } from "../../limits.ts";
import type { Files } from "../files.ts";
import type { IdentifiedFiles } from "../identified-files.ts";
import type { Sources } from "../sources.ts";
import { type ArchiveCounts, packed } from "../transfers/archives.ts";
import { sharedName } from "../transfers/shared-uploads.ts";
import type { TransferCaller, Transferred, Transfers, UploadTarget } from "../transfers/transfers.ts";
import { fileIdUri, isResourceUri, parseUri } from "../uris.ts";
import type { AllowedFolders } from "./allowed-folders.ts";
import { HostFile } from "./host-file.ts";
import type { HostFolder } from "./host-folder.ts";
import { packHostFolder } from "./host-walk.ts";

export type FileScope = "sandbox" | "shared";

export interface HostUpload extends Omit<UploadTarget, "name"> {
  localPath: string;
  scope: FileScope;
  /** The local file is a tar that becomes a folder. */
  unpack: boolean;
}

export interface HostDownload {
  sandboxId?: string | undefined;
  /** A path or any `kernelbox://` URI; with scope `shared` the name of a shared file. */
  path: string;
  localPath: string;
  overwrite: boolean;
  scope: FileScope;
}

export interface HostUploaded extends Transferred {
  /** Of a folder: what went in, and what was left out. */
  counts?: ArchiveCounts | undefined;
  /** Of a shared file: sandboxes that have no copy of it. */
  uncopied?: string[] | undefined;
}

export interface HostDownloaded extends Transferred {
  localPath: string;
  counts?: ArchiveCounts | undefined;
}

const TAR = /\.tar$/i;

/** Files between the folders of the host that its user named and sandboxes. */
export class HostTransfers {
  readonly #folders: AllowedFolders;
  readonly #transfers: Transfers;
  readonly #sources: Sources;
  readonly #files: Files;
  readonly #identified: IdentifiedFiles;
  readonly #closing = new AbortController();

  constructor(parts: { folders: AllowedFolders; transfers: Transfers; sources: Sources; files: Files; identified: IdentifiedFiles }) {
    this.#folders = parts.folders;
    this.#transfers = parts.transfers;
    this.#sources = parts.sources;
    this.#files = parts.files;
    this.#identified = parts.identified;
  }

  async upload(request: HostUpload, caller: TransferCaller): Promise<HostUploaded> {
    const from = await this.#folders.open(request.localPath);
    try {
      const until = this.#until(caller);
      return from instanceof HostFile ? await this.#uploadFile(from, request, until) : await this.#uploadFolder(from, request, until);
    } finally {
      await from.close();
    }
  }

  async #uploadFile(from: HostFile, request: HostUpload, caller: TransferCaller): Promise<HostUploaded> {
    if (from.sizeBytes > LIMITS.transferBytes) {
      throw new KernelboxError(
        "too_large",
        `The local file has ${from.sizeBytes} bytes; one transfer moves at most ${LIMITS.transferBytes}.`,
        "Split it.",
      );
    }
    if (request.unpack) {
      if (request.scope === "shared") throw noSharedFolders();
      const { entries, skipped, ...moved } = await this.#transfers.uploadFolder(
        from.bytes(),
        { ...request, name: from.name.replace(TAR, "") },
        caller,
      );
      return { ...moved, counts: { entries, skipped } };
    }
    const target = { ...request, name: from.name };
    return request.scope === "shared"
      ? await this.#transfers.uploadShared(from.bytes(), target, caller)
      : await this.#transfers.upload(from.bytes(), target, caller);
  }

  async #uploadFolder(from: HostFolder, request: HostUpload, caller: TransferCaller): Promise<HostUploaded> {
    if (request.scope === "shared") throw noSharedFolders();
    const left: ArchiveCounts = { entries: 0, skipped: 0 };
    const tar = packed(async (archive) => await packHostFolder(from, archive, left));
    const target = { ...request, name: this.#folders.nameOf(request.localPath) };
    const { entries, skipped, ...moved } = await this.#transfers.uploadFolder(tar, target, caller);
    return { ...moved, counts: { entries, skipped: skipped + left.skipped } };
  }

  async download(request: HostDownload, caller: TransferCaller): Promise<HostDownloaded> {
    this.#folders.checkWritable(request.localPath);
    const until = this.#until(caller);
    const named = this.#named(request, caller.principal);
    const folder = await this.#folderAt(named, until);
    if (folder !== undefined) return await this.#downloadFolder(folder, request, until);
    const source = await this.#sources.open(named, until);
    const how = { ownName: ownName(named.path, source.path), overwrite: request.overwrite, sizeBytes: source.sizeBytes };
    const part = await this.#folders.create(request.localPath, how);
    try {
      const moved = await this.#transfers.download(source, part, until);
      await part.commit();
      return { ...moved, localPath: part.path };
    } finally {
      await part.abandon();
    }
  }

  async #downloadFolder(
    folder: { sandboxId: string; path: string },
    request: HostDownload,
    caller: TransferCaller,
  ): Promise<HostDownloaded> {
    if (!TAR.test(request.localPath)) {
      throw new KernelboxError(
        "invalid_argument",
        "The path is a folder, not a file.",
        "Give a local_path that ends in .tar to get the folder as an archive.",
      );
    }
    const part = await this.#folders.create(request.localPath, { overwrite: request.overwrite, sizeBytes: 0 });
    try {
      const { entries, skipped, ...moved } = await this.#transfers.downloadFolder(folder, part, caller);
      await part.commit();
      return { ...moved, localPath: part.path, counts: { entries, skipped } };
    } finally {
      await part.abandon();
    }
  }

  /** Ends what is under way, and leaves nothing of it that is not whole. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#folders.close();
  }

  /** A shared file is what the store keeps, whatever became of its copies. */
  #named({ path, sandboxId, scope }: HostDownload, principal: string): { path: string; sandboxId?: string | undefined } {
    if (scope === "sandbox" || isResourceUri(path)) return { path, sandboxId };
    return { path: fileIdUri(this.#identified.sharedNamed(sharedName(path, ""), principal).fileId) };
  }

  /** The folder of a sandbox that is meant, where it is one. */
  async #folderAt(named: { path: string; sandboxId?: string | undefined }, caller: TransferCaller) {
    if (isResourceUri(named.path) && parseUri(named.path)?.kind !== "file") return undefined;
    const found = await this.#files.stat(named, caller);
    return found.type === "directory" ? { sandboxId: found.sandboxId, path: found.path } : undefined;
  }

  #until(caller: TransferCaller): TransferCaller {
    const signals = caller.signal === undefined ? [this.#closing.signal] : [caller.signal, this.#closing.signal];
    return { ...caller, signal: AbortSignal.any(signals) };
  }
}

/** The name under which a source goes into a folder: a file's own. What an execution left has none. */
function ownName(asked: string, path: string): string | undefined {
  const kind = isResourceUri(asked) ? parseUri(asked)?.kind : "file";
  return kind === "file" || kind === "identified" ? posix.basename(path) : undefined;
}

function noSharedFolders(): KernelboxError {
  return new KernelboxError(
    "invalid_argument",
    "Folders are not kept as shared files.",
    "Upload a .tar of it with scope shared, or the folder with scope sandbox.",
  );
}
