import { type BigIntStats, constants, type Dir } from "node:fs";
import { type FileHandle, link, lstat, open, opendir, readlink, rename, statfs, unlink } from "node:fs/promises";
import { KernelboxError } from "../../errors.ts";
import { LIMITS } from "../../limits.ts";

const { O_DIRECTORY, O_NOFOLLOW, O_RDONLY } = constants;
/** Darwin's O_NOFOLLOW_ANY: no link in any part of the path. */
const NO_LINKS_ANYWHERE = process.platform === "darwin" ? 0x20000000 : 0;
const IS_LINUX = process.platform === "linux";

/**
 * A folder of the host, held open. What lies in it is reached through its descriptor, so nobody who renames folders or puts links in their place
 * meanwhile can lead a file elsewhere. Linux names what lies in an open folder `/proc/self/fd/N/name`; on Darwin the opening of a path refuses
 * every link in it, and names that are given to a finished file are looked up once more.
 */
export class HostFolder {
  readonly #handle: FileHandle;
  readonly #path: string;

  private constructor(handle: FileHandle, path: string) {
    this.#handle = handle;
    this.#path = path;
  }

  /** Opens a folder by its real path; refuses where a link has taken the place of any part of it. */
  static async open(real: string): Promise<HostFolder> {
    const folder = new HostFolder(await open(real, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | NO_LINKS_ANYWHERE), real);
    if (IS_LINUX && (await readlink(folder.#itself)) !== real) {
      await folder.close();
      throw throughLink();
    }
    return folder;
  }

  /** A folder in it. */
  async enter(name: string): Promise<HostFolder> {
    return new HostFolder(await this.openAt(name, O_RDONLY | O_DIRECTORY), `${this.#path}/${name}`);
  }

  /** Opens what has that name, if it is not a link. */
  async openAt(name: string, flags: number, mode?: number): Promise<FileHandle> {
    return await open(this.#at(name), flags | O_NOFOLLOW | NO_LINKS_ANYWHERE, mode);
  }

  /** Undefined where there is nothing of that name. */
  async find(name: string): Promise<BigIntStats | undefined> {
    return await lstat(this.#at(name), { bigint: true }).catch((error) => {
      if (error.code === "ENOENT") return undefined;
      throw error;
    });
  }

  /** Gives a second name to a file in it; fails where that is taken. */
  async link(from: string, to: string): Promise<void> {
    await link(this.#at(from), this.#at(to));
  }

  /** Gives a file in it another name, whatever had that before. */
  async rename(from: string, to: string): Promise<void> {
    await rename(this.#at(from), this.#at(to));
  }

  async unlink(name: string): Promise<void> {
    await unlink(this.#at(name));
  }

  async entries(): Promise<Dir> {
    return await opendir(this.#itself);
  }

  /** What its file system has room for. */
  async freeBytes(): Promise<number> {
    const { bavail, bsize } = await statfs(this.#itself);
    return bavail * bsize;
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }

  get #itself(): string {
    return IS_LINUX ? `/proc/self/fd/${this.#handle.fd}` : this.#path;
  }

  #at(name: string): string {
    if (name === "" || name === "." || name === ".." || /[/\0]/.test(name))
      throw new TypeError("A name in a folder is one part of a path.");
    return `${this.#itself}/${name}`;
  }
}

export function throughLink(): KernelboxError {
  return new KernelboxError(
    "permission_denied",
    "The local path leads through a link, or is one; links are not followed.",
    "Use the real path beneath a folder that --allow-dir names.",
  );
}

const HOST_ERRORS: Record<
  string,
  [code: "not_found" | "already_exists" | "permission_denied" | "limit_exceeded" | "invalid_argument", message: string, hint: string]
> = {
  ENOENT: [
    "not_found",
    "There is nothing at that local path, or its folder is not there.",
    "Check the path; folders are not made on the user's machine.",
  ],
  ENOTDIR: ["not_found", "A part of the local path is not a folder.", "Check the path."],
  EEXIST: ["already_exists", "There is a file at that local path already.", "Choose another name, or set overwrite to true."],
  EACCES: [
    "permission_denied",
    "The operating system does not let the server use that local path.",
    "Change its permissions, or use another path.",
  ],
  EPERM: [
    "permission_denied",
    "The operating system does not let the server use that local path.",
    "Change its permissions, or use another path.",
  ],
  EROFS: ["permission_denied", "The local path lies on a file system that cannot be written.", "Use another folder."],
  ENAMETOOLONG: ["invalid_argument", `A part of the local path is longer than ${LIMITS.fileNameBytes} bytes.`, "Use a shorter name."],
  ENXIO: ["invalid_argument", "The local path is a special file, not a regular one.", "Use the path of a regular file."],
  EISDIR: ["invalid_argument", "The local path is a folder.", "Name the file."],
  ENOSPC: [
    "limit_exceeded",
    "The disk of the user's machine is full; nothing of the file was left there.",
    "Make room, or use another folder.",
  ],
  EDQUOT: [
    "limit_exceeded",
    "The disk quota on the user's machine is used up; nothing of the file was left there.",
    "Make room, or use another folder.",
  ],
  EFBIG: ["limit_exceeded", "The file is larger than the user's machine lets the server write.", "Use another folder, or a smaller file."],
  EMFILE: ["limit_exceeded", "The server has as many files open as it may.", "Wait for other transfers to end."],
};

/** What the host's system answered, in words of ours. */
export function hostError(thrown: unknown): KernelboxError {
  if (thrown instanceof KernelboxError) return thrown;
  const code = (thrown as NodeJS.ErrnoException | undefined)?.code ?? "";
  if (code === "ELOOP") return throughLink();
  const words = HOST_ERRORS[code];
  return words === undefined ? KernelboxError.from(thrown) : new KernelboxError(...words, { cause: thrown });
}
