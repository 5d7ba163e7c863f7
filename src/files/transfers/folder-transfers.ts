import { randomBytes } from "node:crypto";
import { posix } from "node:path";
import { KernelboxError } from "../../errors.ts";
import { LIMITS } from "../../limits.ts";
import type { Caller, FileEntry, Files, Listing } from "../files.ts";
import { pulled } from "../pulled.ts";
import { type ArchiveCounts, type Packing, packed, unpack } from "./archives.ts";
import { tooMany } from "./tar-bounds.ts";

export interface SandboxFolder {
  sandboxId: string;
  path: string;
}

/** Whole folders of a sandbox, as tar. */
export class FolderTransfers {
  readonly #files: Files;

  constructor(files: Files) {
    this.#files = files;
  }

  /** Makes a folder of a tar that anybody may have made. It is there whole or not at all: it gets its name behind the last file. */
  async unpack(
    tar: AsyncIterable<Uint8Array>,
    target: SandboxFolder & { overwrite: boolean },
    caller: Caller,
  ): Promise<ArchiveCounts & { path: string }> {
    const { sandboxId, path } = target;
    const part = `${posix.dirname(path)}/.kernelbox-${randomBytes(8).toString("hex")}.part`;
    const within = (name: string) => ({ sandboxId, path: `${part}/${name}` });
    try {
      await this.#files.make({ sandboxId, path: part, parents: true, mode: "755" }, caller);
      const counts = await unpack(tar, {
        makeFolder: async (name) => void (await this.#files.make({ ...within(name), parents: true, mode: "755" }, caller)),
        writeFile: async (name, content) =>
          void (await this.#files.write({ ...within(name), content, createParents: true, append: false, overwrite: false }, caller)),
      });
      const move = { sandboxId, source: part, destination: path, overwrite: target.overwrite, copy: false, missingOk: false };
      return { ...counts, path: (await this.#files.move(move, caller)).path };
    } catch (error) {
      // Whoever called may have left, which must not leave it there.
      await this.#files
        .remove({ sandboxId, path: part, recursive: true, missingOk: true }, { principal: caller.principal })
        .catch(() => {});
      throw error;
    }
  }

  /** A tar of the folder, made while it is read, and what went into it. */
  pack(folder: SandboxFolder, caller: Caller): { tar: AsyncGenerator<Buffer>; counts: ArchiveCounts } {
    const counts: ArchiveCounts = { entries: 0, skipped: 0 };
    return { tar: packed(async (archive) => await this.#fill(archive, folder, counts, caller)), counts };
  }

  async #fill(archive: Packing, { sandboxId, path }: SandboxFolder, counts: ArchiveCounts, caller: Caller): Promise<void> {
    const depth = LIMITS.archiveDepth;
    const listed = everyEntry(
      async (cursor) => await this.#files.list({ sandboxId, path, depth, limit: LIMITS.listEntries.max, cursor }, caller),
    );
    for await (const { entry, name } of listed) await this.#add(archive, entry, name, sandboxId, counts, caller);
  }

  async #add(archive: Packing, entry: FileEntry, name: string, sandboxId: string, counts: ArchiveCounts, caller: Caller): Promise<void> {
    if (counts.entries + counts.skipped >= LIMITS.archiveEntries) throw tooMany();
    const isNamed = !name.includes("\ufffd");
    if (entry.type === "directory" && isNamed) {
      if (name.split("/").length >= LIMITS.archiveDepth) {
        throw new KernelboxError(
          "too_large",
          `There are more than ${LIMITS.archiveDepth} folders in each other.`,
          "Pack the folder in code (tarfile), and download that file.",
        );
      }
      archive.folder(name);
    } else if (entry.type === "file" && isNamed) {
      const { path, sizeBytes } = entry;
      const body = pulled((onData) => this.#files.read({ sandboxId, path, offset: 0, limit: sizeBytes }, caller, onData));
      await archive.file(name, sizeBytes, new Date(entry.modifiedAt), body);
    } else {
      // Links, special files, and names that are not UTF-8.
      counts.skipped++;
      return;
    }
    counts.entries++;
  }
}

/** What a sandbox says lies in a folder, page by page. */
export async function* everyEntry(
  list: (cursor: string | undefined) => Promise<Pick<Listing, "path" | "entries" | "nextCursor">>,
): AsyncGenerator<{ entry: FileEntry; name: string }> {
  let cursor: string | undefined;
  do {
    const page = await list(cursor);
    for (const entry of page.entries) yield { entry, name: nameWithin(page.path, entry.path) };
    cursor = page.nextCursor ?? undefined;
    // Nothing else would bound how often it is asked.
    if (cursor !== undefined && page.entries.length === 0) throw oddListing();
  } while (cursor !== undefined);
}

/** The name of what a sandbox says lies in a folder, as it goes into an archive: whoever unpacks that may believe it. */
export function nameWithin(folder: string, path: string): string {
  const name = path.slice(folder.length + 1);
  const isPlain = name.split("/").every((part) => part !== "" && part !== "." && part !== "..");
  if (!path.startsWith(`${folder}/`) || !isPlain || name.includes("\0")) throw oddListing();
  return name;
}

function oddListing(): KernelboxError {
  return new KernelboxError("sandbox_lost", "The sandbox told of files that cannot be in that folder.", "Make a new sandbox.");
}
