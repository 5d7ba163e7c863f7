import { randomBytes } from "node:crypto";
import { constants } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { KernelboxError } from "../../errors.ts";
import { type HostFolder, hostError } from "./host-folder.ts";

interface PartOptions {
  name: string;
  /** For people: where it will be. */
  path: string;
  overwrite: boolean;
  sizeBytes: number;
  onEnd: (part: HostPart) => void;
}

const PRIVATE_MODE = 0o600;
const FILE_MODE = 0o644;
/** What file systems answer that give no file a second name. */
const NO_LINKS = ["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS"];

/** A file of the host that is being written: under a name of its own in the same folder, and under the name that it is to have once it is whole. */
export class HostPart {
  readonly path: string;
  readonly #folder: HostFolder;
  readonly #handle: FileHandle;
  readonly #partName: string;
  readonly #options: PartOptions;
  #naming: Promise<void> | undefined;
  #ending: Promise<void> | undefined;

  private constructor(folder: HostFolder, handle: FileHandle, partName: string, options: PartOptions) {
    this.path = options.path;
    this.#folder = folder;
    this.#handle = handle;
    this.#partName = partName;
    this.#options = options;
  }

  /** Takes the folder over where it succeeds. What cannot end well is refused before a byte is asked for. */
  static async begin(folder: HostFolder, options: PartOptions): Promise<HostPart> {
    const found = await folder.find(options.name);
    if (found !== undefined && !found.isFile()) {
      throw new KernelboxError(
        "invalid_argument",
        "The local path is a folder, a link or a special file; only a regular file is replaced.",
        "Choose another name.",
      );
    }
    if (found !== undefined && !options.overwrite) throw Object.assign(new Error("there already"), { code: "EEXIST" });
    if (options.sizeBytes > (await folder.freeBytes())) throw Object.assign(new Error("no room"), { code: "ENOSPC" });
    const partName = `.kernelbox-${randomBytes(12).toString("hex")}.part`;
    const handle = await folder.openAt(partName, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, PRIVATE_MODE);
    return new HostPart(folder, handle, partName, options);
  }

  async write(chunk: Uint8Array): Promise<void> {
    try {
      for (let at = 0; at < chunk.length; ) at += (await this.#handle.write(chunk, at)).bytesWritten;
    } catch (error) {
      throw hostError(error);
    }
  }

  /** Gives it its name. Whatever fails, nothing is left. */
  async commit(): Promise<void> {
    try {
      await this.#handle.sync();
      await this.#handle.chmod(FILE_MODE);
      if (this.#ending !== undefined) throw KernelboxError.cancelled();
      this.#naming = this.#giveName();
      await this.#naming;
    } catch (error) {
      throw hostError(error);
    } finally {
      await this.abandon();
    }
  }

  /** Removes what is not whole. Safe at any time, also twice. */
  async abandon(): Promise<void> {
    this.#ending ??= this.#end();
    await this.#ending;
  }

  async #giveName(): Promise<void> {
    const { name, overwrite } = this.#options;
    if (overwrite) return await this.#folder.rename(this.#partName, name);
    await this.#folder.link(this.#partName, name).catch((error) => {
      if (!NO_LINKS.includes(error.code)) throw error;
      throw new KernelboxError(
        "unsupported",
        "The file system of that folder cannot put a file in place without the risk of replacing another one.",
        "Set overwrite to true, or use another folder.",
        { cause: error },
      );
    });
  }

  async #end(): Promise<void> {
    // The descriptors are needed until it has its name, or does not.
    await this.#naming?.catch(() => {});
    // What has been renamed is not there any more.
    await this.#folder.unlink(this.#partName).catch(() => {});
    await this.#handle.close().catch(() => {});
    await this.#folder.close();
    this.#options.onEnd(this);
  }
}
