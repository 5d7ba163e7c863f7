import { newId } from "../ids.ts";
import { LIMITS } from "../limits.ts";

/** Which file of a sandbox is meant. */
export interface IdentifiedFile {
  principal: string;
  sandboxId: string;
  path: string;
}

/**
 * Ids of files in sandboxes: the same for the same path as long as the sandbox lives, whatever becomes of the file there. Bounded for each sandbox:
 * the one that was asked for least lately goes, and is unknown from then on.
 */
export class FileIds {
  readonly #perSandbox: number;
  /** By sandbox and path, those that were asked for last at the end. */
  readonly #ids = new Map<string, Map<string, string>>();
  readonly #files = new Map<string, IdentifiedFile>();

  constructor(perSandbox: number = LIMITS.fileIdsPerSandbox) {
    this.#perSandbox = perSandbox;
  }

  idOf(file: IdentifiedFile): string {
    const { principal, sandboxId, path } = file;
    const ids = this.#ids.get(sandboxId) ?? new Map<string, string>();
    this.#ids.set(sandboxId, ids);
    const fileId = ids.get(path) ?? newId("file");
    ids.delete(path);
    ids.set(path, fileId);
    this.#files.set(fileId, { principal, sandboxId, path });
    const [oldest] = ids;
    if (ids.size > this.#perSandbox && oldest !== undefined) {
      ids.delete(oldest[0]);
      this.#files.delete(oldest[1]);
    }
    return fileId;
  }

  /** Undefined for an unknown id and for one of another principal alike. */
  find(fileId: string, principal: string): { sandboxId: string; path: string } | undefined {
    const file = this.#files.get(fileId);
    return file?.principal === principal ? { sandboxId: file.sandboxId, path: file.path } : undefined;
  }

  /** The sandbox has ended. */
  forget(sandboxId: string): void {
    for (const fileId of this.#ids.get(sandboxId)?.values() ?? []) this.#files.delete(fileId);
    this.#ids.delete(sandboxId);
  }
}
