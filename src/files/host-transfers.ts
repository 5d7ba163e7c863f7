import { posix } from "node:path";
import { KernelboxError } from "../errors.ts";
import { LIMITS } from "../limits.ts";
import type { AllowedFolders } from "./allowed-folders.ts";
import { HostFile } from "./host-file.ts";
import type { Sources } from "./sources.ts";
import type { TransferCaller, Transferred, Transfers, UploadTarget } from "./transfers.ts";
import { isResourceUri, parseUri } from "./uris.ts";

export interface HostUpload extends Omit<UploadTarget, "name"> {
  localPath: string;
}

export interface HostDownload {
  sandboxId?: string | undefined;
  /** A path or any `kernelbox://` URI. */
  path: string;
  localPath: string;
  overwrite: boolean;
}

export interface HostTransferred extends Transferred {
  localPath: string;
}

/** Files between the folders of the host that its user named and sandboxes. */
export class HostTransfers {
  readonly #folders: AllowedFolders;
  readonly #transfers: Transfers;
  readonly #sources: Sources;
  readonly #closing = new AbortController();

  constructor(parts: { folders: AllowedFolders; transfers: Transfers; sources: Sources }) {
    this.#folders = parts.folders;
    this.#transfers = parts.transfers;
    this.#sources = parts.sources;
  }

  async upload(request: HostUpload, caller: TransferCaller): Promise<Transferred> {
    const from = await this.#folders.open(request.localPath);
    try {
      if (!(from instanceof HostFile)) throw new KernelboxError("invalid_argument", "The local path is a folder.", "Name a file.");
      if (from.sizeBytes > LIMITS.transferBytes) {
        throw new KernelboxError(
          "too_large",
          `The local file has ${from.sizeBytes} bytes; one transfer moves at most ${LIMITS.transferBytes}.`,
          "Split it.",
        );
      }
      return await this.#transfers.upload(from.bytes(), { ...request, name: from.name }, this.#until(caller));
    } finally {
      await from.close();
    }
  }

  async download(request: HostDownload, caller: TransferCaller): Promise<HostTransferred> {
    this.#folders.checkWritable(request.localPath);
    const until = this.#until(caller);
    const source = await this.#sources.open({ sandboxId: request.sandboxId, path: request.path }, until);
    const how = { ownName: ownName(request.path, source.path), overwrite: request.overwrite, sizeBytes: source.sizeBytes };
    const part = await this.#folders.create(request.localPath, how);
    try {
      const moved = await this.#transfers.download(source, part, until);
      await part.commit();
      return { ...moved, localPath: part.path };
    } finally {
      await part.abandon();
    }
  }

  /** Ends what is under way, and leaves nothing of it that is not whole. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#folders.close();
  }

  #until(caller: TransferCaller): TransferCaller {
    const signals = caller.signal === undefined ? [this.#closing.signal] : [caller.signal, this.#closing.signal];
    return { ...caller, signal: AbortSignal.any(signals) };
  }
}

/** The name under which a source goes into a folder: a file's own. What an execution left has none. */
function ownName(asked: string, path: string): string | undefined {
  if (isResourceUri(asked) && parseUri(asked)?.kind !== "file") return undefined;
  return posix.basename(path);
}
