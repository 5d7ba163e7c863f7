import { constants } from "node:fs";
import { basename, join, resolve, sep } from "node:path";
import { KernelboxError } from "../../errors.ts";
import { LIMITS } from "../../limits.ts";
import { HostFile } from "./host-file.ts";
import { HostFolder, hostError, throughLink } from "./host-folder.ts";
import { HostPart } from "./host-part.ts";

export interface AllowedFolder {
  /** As the user named it, absolute. */
  given: string;
  /** The same without a link on the way. */
  real: string;
  isReadOnly: boolean;
}

/** A local path as names: the folder that the user allowed, and the way from there. */
interface Place {
  root: AllowedFolder;
  parts: string[];
  /** The path ends in a slash: a folder is meant. */
  isFolder: boolean;
}

const ALLOW = "Folders are allowed by whoever starts the server: --allow-dir DIR, or DIR:ro to let files only in.";
/** Some file systems do not tell a name from the same behind characters that nobody sees. */
export const HIDDEN_NAME = /^\p{Cf}*\./u;

/**
 * The folders of the host that its user named, and nothing else of it: no link is followed, nothing whose name begins with a dot goes in or out, and
 * nobody learns what there is outside.
 */
export class AllowedFolders {
  readonly #allowed: readonly AllowedFolder[];
  readonly #open = new Set<HostPart>();

  constructor(allowed: readonly AllowedFolder[]) {
    this.#allowed = allowed;
  }

  /** A regular file to be read, or a folder. The caller closes it. */
  async open(localPath: string): Promise<HostFile | HostFolder> {
    const { root, parts } = this.#locate(localPath);
    const name = parts.pop();
    try {
      const folder = await enter(root, parts);
      if (name === undefined) return folder;
      try {
        return await openIn(folder, name);
      } finally {
        await folder.close();
      }
    } catch (error) {
      throw hostError(error);
    }
  }

  /** The last name of a local path, by which what lies there goes into a folder of the sandbox. */
  nameOf(localPath: string): string {
    const { root, parts } = this.#locate(localPath);
    return parts.at(-1) ?? basename(root.real);
  }

  /**
   * Begins a file that has its name only once it is whole. Where the path is a folder the file gets `ownName` there; undefined where it has none
   * that could be used.
   */
  async create(localPath: string, how: { ownName?: string | undefined; overwrite: boolean; sizeBytes: number }): Promise<HostPart> {
    const { root, parts, isFolder } = this.#locateForWriting(localPath);
    const last = isFolder ? undefined : parts.pop();
    try {
      let folder = await enter(root, parts);
      try {
        let name = last;
        const found = name === undefined ? undefined : await folder.find(name);
        if (name === undefined || found?.isDirectory()) {
          if (name !== undefined) {
            const outer = folder;
            folder = await outer.enter(name);
            await outer.close();
            parts.push(name);
          }
          name = checkedOwnName(how.ownName);
        }
        const path = join(root.real, ...parts, name);
        const part = await HostPart.begin(folder, { ...how, name, path, onEnd: (ended) => this.#open.delete(ended) });
        this.#open.add(part);
        return part;
      } catch (error) {
        await folder.close();
        throw error;
      }
    } catch (error) {
      throw hostError(error);
    }
  }

  /** Leaves nothing behind that is not whole. */
  async close(): Promise<void> {
    await Promise.allSettled([...this.#open].map((part) => part.abandon()));
  }

  /** Refuses by its name alone what cannot be written, before anything is done for it. */
  checkWritable(localPath: string): void {
    this.#locateForWriting(localPath);
  }

  #locateForWriting(localPath: string): Place {
    const place = this.#locate(localPath);
    if (!place.root.isReadOnly) return place;
    throw new KernelboxError("permission_denied", "The local folder is allowed for reading only.", ALLOW);
  }

  #locate(localPath: string): Place {
    if (this.#allowed.length === 0) {
      throw new KernelboxError("permission_denied", "No folder of the user's machine may be used.", ALLOW);
    }
    if (localPath === "" || localPath.includes("\0") || Buffer.byteLength(localPath) > LIMITS.pathBytes) {
      throw new KernelboxError(
        "invalid_argument",
        `The local path is empty, holds a NUL character, or is longer than ${LIMITS.pathBytes} bytes.`,
        "Correct it.",
      );
    }
    const absolute = this.#absolute(localPath);
    const named = longest(this.#allowed, absolute, "given");
    // Whatever name it goes by, what is allowed there is decided by where it really is.
    const real = named === undefined ? absolute : named.real + absolute.slice(named.given.length);
    const root = longest(this.#allowed, real, "real");
    if (root === undefined) {
      throw new KernelboxError("permission_denied", "The local path lies outside the folders that may be used.", ALLOW);
    }
    const parts = real
      .slice(root.real.length)
      .split(sep)
      .filter((part) => part !== "");
    if (parts.some((part) => HIDDEN_NAME.test(part))) throw hidden();
    return { root, parts, isFolder: localPath.endsWith("/") || parts.length === 0 };
  }

  #absolute(localPath: string): string {
    const [only, ...others] = this.#allowed;
    if (localPath.startsWith("/") || (only !== undefined && others.length === 0)) return resolve(only?.given ?? "/", localPath);
    throw new KernelboxError(
      "invalid_argument",
      `The local path is relative, and there are ${this.#allowed.length} folders that it could begin in.`,
      "Give an absolute path.",
    );
  }
}

/** The innermost of the folders that the path lies in. */
function longest(allowed: readonly AllowedFolder[], path: string, name: "given" | "real"): AllowedFolder | undefined {
  const around = allowed.filter((folder) => path === folder[name] || path.startsWith(folder[name].replace(/\/?$/, "/")));
  // The same folder named twice may be read only where one of the two says so.
  return around.sort((a, b) => b[name].length - a[name].length || Number(b.isReadOnly) - Number(a.isReadOnly))[0];
}

/** Goes down from an allowed folder, one name at a time. */
async function enter(root: AllowedFolder, parts: readonly string[]): Promise<HostFolder> {
  let folder = await HostFolder.open(root.real);
  for (const part of parts) {
    try {
      const inner = await folder.enter(part).catch(async (error) => {
        // The system says the same of a link to a folder and of a file.
        if (error.code === "ENOTDIR" && (await folder.find(part))?.isSymbolicLink()) throw throughLink();
        throw error;
      });
      await folder.close();
      folder = inner;
    } catch (error) {
      await folder.close();
      throw error;
    }
  }
  return folder;
}

/** A regular file, or a folder, of that name. */
export async function openIn(folder: HostFolder, name: string): Promise<HostFile | HostFolder> {
  const found = await folder.find(name);
  if (found?.isDirectory()) return await folder.enter(name);
  if (found?.isSymbolicLink()) throw throughLink();
  // A device may do something when it is opened.
  if (found !== undefined && !found.isFile()) throw notRegular();
  // What takes its place now may be a FIFO, whose opening must not wait for a writer.
  const handle = await folder.openAt(name, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  try {
    const opened = await handle.stat({ bigint: true });
    if (!opened.isFile()) throw notRegular();
    return new HostFile(name, handle, opened);
  } catch (error) {
    await handle.close();
    throw error;
  }
}

function checkedOwnName(name: string | undefined): string {
  if (name === undefined || name === "" || /[/\0]/.test(name) || name === "..") {
    throw new KernelboxError(
      "invalid_argument",
      "The local path is a folder, and what is downloaded has no name of its own.",
      "Name the file.",
    );
  }
  if (HIDDEN_NAME.test(name)) throw hidden();
  return name;
}

function notRegular(): KernelboxError {
  return new KernelboxError(
    "invalid_argument",
    "The local path is a special file (a device, FIFO or socket), not a regular one.",
    "Use the path of a regular file.",
  );
}

function hidden(): KernelboxError {
  return new KernelboxError(
    "permission_denied",
    "A part of the local path begins with a dot; such files and folders are neither read nor written.",
    "Use a path without such a part; copy the file there on the user's machine first.",
  );
}
