import { sharedPath } from "../../sandboxes/paths.ts";
import type { Sandboxes } from "../../sandboxes/sandboxes.ts";
import type { SharedFiles } from "../../store/shared-files.ts";
import type { Caller } from "../files.ts";
import type { SharedCopies } from "./shared-copies.ts";

export interface SharedUpload {
  /** A name, the path of the copies, or /mnt/shared itself: there it gets `name`. */
  path: string;
  name: string;
  overwrite: boolean;
  body: AsyncIterable<Uint8Array>;
}

/** Files that are kept for a principal as they come in, and their copies. */
export class SharedUploads {
  readonly #files: SharedFiles;
  readonly #copies: SharedCopies;
  readonly #sandboxes: Sandboxes;

  constructor(parts: { files: SharedFiles; copies: SharedCopies; sandboxes: Sandboxes }) {
    this.#files = parts.files;
    this.#copies = parts.copies;
    this.#sandboxes = parts.sandboxes;
  }

  /** Makes no sandbox: those that come later get their copy when they do. */
  async put({ path, name: ownName, overwrite, body }: SharedUpload, { principal, signal }: Caller) {
    const name = sharedName(path, ownName);
    const kept = await this.#files.put({ principal, name, overwrite, body, signal });
    const uncopied = await this.#copies.spread(kept, principal, this.#sandboxes);
    return { sandboxId: "", path: sharedPath(name), fileId: kept.fileId, sizeBytes: kept.sizeBytes, sha256: kept.sha256, uncopied };
  }
}

/** The name of a shared file that a path means. What is left of it is checked by the store. */
export function sharedName(path: string, ownName: string): string {
  const folder = sharedPath("");
  const name = `${path}/` === folder ? "" : path.startsWith(folder) ? path.slice(folder.length) : path;
  return name === "" ? ownName : name;
}
