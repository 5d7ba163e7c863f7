import { KernelboxError } from "../errors.ts";
import type { FileIds } from "../store/file-ids.ts";
import type { OpenSharedFile, SharedFile, SharedFiles } from "../store/shared-files.ts";
import { parseUri } from "./uris.ts";

export type IdentifiedFile = { scope: "shared"; file: OpenSharedFile } | { scope: "sandbox"; sandboxId: string; path: string };

/** Files by their ids, which live as long as the scope of the file: a sandbox, or the server's store. */
export class IdentifiedFiles {
  readonly #ids: FileIds;
  readonly #shared: SharedFiles;

  constructor(ids: FileIds, shared: SharedFiles) {
    this.#ids = ids;
    this.#shared = shared;
  }

  /** The id of a file in a sandbox. */
  idOf(file: { principal: string; sandboxId: string; path: string }): string {
    return this.#ids.idOf(file);
  }

  /** Undefined for an unknown id and for one of another principal alike. */
  find(fileId: string, principal: string): IdentifiedFile | undefined {
    if (this.#shared.find(fileId, principal) !== undefined) return { scope: "shared", file: this.#shared.open(fileId, principal) };
    const file = this.#ids.find(fileId, principal);
    return file === undefined ? undefined : { scope: "sandbox", ...file };
  }

  /** Removes the shared file that a URI names; its copies in sandboxes stay. Undefined where the path names no shared file, but one of a sandbox. */
  async removeShared(
    { path, missingOk }: { path: string; missingOk: boolean },
    principal: string,
  ): Promise<{ path: string; removed: boolean } | undefined> {
    const address = parseUri(path);
    if (address?.kind !== "identified") return undefined;
    const found = this.find(address.fileId, principal);
    if (found?.scope === "sandbox") return undefined;
    if (found !== undefined) await this.#shared.remove(address.fileId, principal);
    else if (!missingOk) throw new KernelboxError("not_found", "There is no file with this id.", "Use the file_id of a reply.");
    return { path, removed: found !== undefined };
  }

  shared(principal: string): SharedFile[] {
    return this.#shared.list(principal);
  }

  /** The shared file of this name. */
  sharedNamed(name: string, principal: string): SharedFile {
    const found = this.#shared.list(principal).find((file) => file.name === name);
    if (found !== undefined) return found;
    throw new KernelboxError(
      "not_found",
      "There is no shared file of this name.",
      "Use the name or file_id that upload_file gave with scope shared.",
    );
  }
}
