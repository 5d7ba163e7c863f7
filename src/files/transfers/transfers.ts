import { createHash } from "node:crypto";
import { posix } from "node:path";
import { KernelboxError } from "../../errors.ts";
import { LIMITS } from "../../limits.ts";
import type { Caller, Files } from "../files.ts";
import type { IdentifiedFiles } from "../identified-files.ts";
import type { Source } from "../source.ts";
import { fileTarget } from "../uris.ts";
import type { ArchiveCounts } from "./archives.ts";
import { FolderTransfers, type SandboxFolder } from "./folder-transfers.ts";
import type { SharedUploads } from "./shared-uploads.ts";

export interface UploadTarget {
  sandboxId?: string | undefined;
  /** Of the file itself, or of a folder that is there or ends in a slash: there it gets `name`. */
  path: string;
  name: string;
  overwrite: boolean;
}

export interface Transferred {
  sandboxId: string;
  path: string;
  /** By which it can be named as long as its scope lives; null for what is no file. */
  fileId: string | null;
  sizeBytes: number;
  sha256: string;
}

/** Where a download goes. It has come whole only when `download` has returned. */
export interface Sink {
  write(chunk: Uint8Array): Promise<void>;
}

export interface TransferCaller extends Caller {
  /** How many bytes have moved, not more often than a host can use it. */
  onProgress?: ((bytes: number) => void) | undefined;
}

/**
 * Files of any size in and out, as streams: never whole in memory, at the pace of the slower side. A transfer may take long, but
 * not stand still: the channel sees to that.
 * What the other end is, a file of the host or a listener's request, is not known here.
 */
export class Transfers {
  readonly #files: Files;
  readonly #folders: FolderTransfers;
  readonly #identified: IdentifiedFiles;
  readonly #shared: SharedUploads;
  #open = 0;

  constructor(parts: { files: Files; identified: IdentifiedFiles; shared: SharedUploads }) {
    this.#files = parts.files;
    this.#folders = new FolderTransfers(parts.files);
    this.#identified = parts.identified;
    this.#shared = parts.shared;
  }

  /** Where an upload goes: the sandbox, and the path with the file's own name where a folder was named. */
  async target(target: UploadTarget, caller: Caller): Promise<{ sandboxId: string; path: string }> {
    const { path, sandboxId: given } = fileTarget({ sandboxId: target.sandboxId, path: target.path });
    const sandboxId = await this.#files.sandboxId(given, caller);
    const into = `${path.replace(/\/+$/, "")}/${target.name}`;
    if (path.endsWith("/")) return { sandboxId, path: into };
    const found = await this.#files.stat({ sandboxId, path }, caller).catch((error: KernelboxError) => {
      if (error.code === "not_found") return undefined;
      throw error;
    });
    return { sandboxId, path: found?.type === "directory" ? posix.join(found.path, target.name) : path };
  }

  /** Streams a file into a sandbox. It is there whole or not at all. */
  async upload(body: AsyncIterable<Uint8Array>, target: UploadTarget, caller: TransferCaller): Promise<Transferred> {
    const { sandboxId, path } = await this.target(target, caller);
    return await this.#moving(caller, async (meter) => {
      const request = {
        sandboxId,
        path,
        content: meter.through(body),
        createParents: true,
        append: false,
        overwrite: target.overwrite,
      };
      const written = await this.#files.write(request, caller);
      return { sandboxId, path: written.path, fileId: this.#idOf(sandboxId, written.path, caller), ...meter.sums() };
    });
  }

  /** Makes a folder of a tar; whole or not at all. */
  async uploadFolder(tar: AsyncIterable<Uint8Array>, target: UploadTarget, caller: TransferCaller): Promise<Transferred & ArchiveCounts> {
    const { sandboxId, path } = await this.target(target, caller);
    return await this.#moving(caller, async (meter) => {
      const made = await this.#folders.unpack(meter.through(tar), { sandboxId, path, overwrite: target.overwrite }, caller);
      return { sandboxId, ...made, fileId: null, ...meter.sums() };
    });
  }

  /** Streams a folder into the sink, as a tar. */
  async downloadFolder(folder: SandboxFolder, sink: Sink, caller: TransferCaller): Promise<Transferred & ArchiveCounts> {
    return await this.#moving(caller, async (meter) => {
      const { tar, counts } = this.#folders.pack(folder, caller);
      for await (const chunk of meter.through(tar)) await sink.write(chunk);
      return { ...folder, ...counts, fileId: null, ...meter.sums() };
    });
  }

  /** Keeps a file for the principal, and puts a copy of it into each of its sandboxes; says which got none. */
  async uploadShared(
    body: AsyncIterable<Uint8Array>,
    target: { path: string; name: string; overwrite: boolean },
    caller: TransferCaller,
  ): Promise<Transferred & { uncopied: string[] }> {
    return await this.#moving(caller, async (meter) => await this.#shared.put({ ...target, body: meter.through(body) }, caller));
  }

  /** Streams a source into the sink, as much as it had when it was opened. */
  async download(source: Source, sink: Sink, caller: TransferCaller): Promise<Transferred> {
    if (source.sizeBytes > LIMITS.transferBytes) throw tooLarge();
    return await this.#moving(caller, async (meter) => {
      const take = async (chunk: Buffer) => {
        meter.add(chunk);
        await sink.write(chunk);
        return true;
      };
      if (source.sizeBytes > 0) await source.stream(0, source.sizeBytes, take);
      const sums = meter.sums();
      if (sums.sizeBytes !== source.sizeBytes) {
        throw new KernelboxError(
          "busy",
          "The file was changed while it was read; nothing was written.",
          "Try again when nothing writes to it.",
        );
      }
      return { sandboxId: source.sandboxId, path: source.path, fileId: source.fileId, ...sums };
    });
  }

  #idOf(sandboxId: string, path: string, { principal }: Caller): string {
    return this.#identified.idOf({ principal, sandboxId, path });
  }

  async #moving<T>(caller: TransferCaller, move: (meter: Meter) => Promise<T>): Promise<T> {
    if (this.#open >= LIMITS.transfersAtOnce) {
      throw new KernelboxError("limit_exceeded", `${LIMITS.transfersAtOnce} transfers are under way already.`, "Wait for some to end.");
    }
    this.#open++;
    const meter = new Meter(caller);
    try {
      return await move(meter);
    } finally {
      this.#open--;
    }
  }
}

/** Counts what moves. */
class Meter {
  readonly #hash = createHash("sha256");
  readonly #onProgress: TransferCaller["onProgress"];
  #bytes = 0;
  #toldAt = performance.now();

  constructor({ onProgress }: TransferCaller) {
    this.#onProgress = onProgress;
  }

  add(chunk: Uint8Array): void {
    this.#bytes += chunk.length;
    if (this.#bytes > LIMITS.transferBytes) throw tooLarge();
    this.#hash.update(chunk);
    const now = performance.now();
    if (now - this.#toldAt < LIMITS.transferProgressMs) return;
    this.#toldAt = now;
    this.#onProgress?.(this.#bytes);
  }

  async *through(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of body) {
      this.add(chunk);
      yield chunk;
    }
  }

  sums(): { sizeBytes: number; sha256: string } {
    return { sizeBytes: this.#bytes, sha256: this.#hash.digest("hex") };
  }
}

function tooLarge(): KernelboxError {
  return new KernelboxError("too_large", `One transfer moves at most ${LIMITS.transferBytes} bytes.`, "Split the file, or compress it.");
}
