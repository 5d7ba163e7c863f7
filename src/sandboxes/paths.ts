import { posix } from "node:path";
import { KernelboxError } from "../errors.ts";
import { LIMITS } from "../limits.ts";

export const HOME = "/home/user";
export const SHARED = "/mnt/shared";
const ROOTS = [HOME, "/tmp", SHARED];
const DATA_LINK = "/mnt/data";

/**
 * A path of the sandbox as a caller wrote it, made absolute: relative ones begin at /home/user, `/mnt/data` is the same folder. Purely a matter
 * of names; that links cannot lead out is the supervisor's work, by descriptor.
 */
export function absolutePath(path: string): string {
  if (path.includes("\0")) throw new KernelboxError("invalid_argument", "The path contains a NUL character.", "Remove it.");
  if (Buffer.byteLength(path) > LIMITS.pathBytes) {
    throw new KernelboxError("invalid_argument", `The path is longer than ${LIMITS.pathBytes} bytes.`, "Use a shorter path.");
  }
  const normal = posix.resolve(HOME, path);
  const moved = isBeneath(normal, DATA_LINK) ? HOME + normal.slice(DATA_LINK.length) : normal;
  if (!ROOTS.some((root) => isBeneath(moved, root))) {
    throw new KernelboxError(
      "permission_denied",
      "The path lies outside the folders that can be read and written.",
      `Use a path beneath ${HOME} (relative paths begin there), /tmp or ${SHARED}.`,
    );
  }
  return moved;
}

/** Where the copy of a shared file stands in each sandbox. */
export function sharedPath(name: string): string {
  return `${SHARED}/${name}`;
}

function isBeneath(path: string, root: string): boolean {
  return path === root || path.startsWith(`${root}/`);
}
