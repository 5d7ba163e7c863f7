import { KernelboxError } from "../errors.ts";
import { LIMITS } from "../limits.ts";

/** What is known of a file: its size, and its version, which begins with what tells it from all other files: "device-inode-…". */
export interface SeenFile {
  sizeBytes: number;
  version: string;
}

/** The same content, or the same file that only grew, like a log. */
export function isSameOrGrown(before: SeenFile, after: SeenFile): boolean {
  if (before.version === after.version) return true;
  return identity(before.version) === identity(after.version) && after.sizeBytes > before.sizeBytes;
}

function identity(version: string): string {
  return version.split("-", 2).join("-");
}

/** Begins again where somebody else changed the file meanwhile: mostly they are done by then. */
export async function readUnchanged<T>(read: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await read();
    } catch (error) {
      if (KernelboxError.from(error).code !== "busy" || attempt >= LIMITS.readTries) throw error;
    }
  }
}
