import { KernelboxError } from "../../errors.ts";
import { LIMITS } from "../../limits.ts";
import type { ArchiveCounts, Packing } from "../transfers/archives.ts";
import { tooMany } from "../transfers/tar-bounds.ts";
import { HIDDEN_NAME, openIn } from "./allowed-folders.ts";
import { HostFile } from "./host-file.ts";
import { type HostFolder, hostError } from "./host-folder.ts";

/** Puts a folder of the host into an archive, by descriptors all the way down. What begins with a dot stays out, as do links and special files. */
export async function packHostFolder(
  folder: HostFolder,
  archive: Packing,
  counts: ArchiveCounts,
  above: readonly string[] = [],
): Promise<void> {
  if (above.length >= LIMITS.archiveDepth) {
    throw new KernelboxError(
      "too_large",
      `The local folder has more than ${LIMITS.archiveDepth} folders in each other.`,
      "Upload a part of it.",
    );
  }
  for await (const { name } of await folder.entries().catch(refuse)) {
    if (counts.entries + counts.skipped >= LIMITS.archiveEntries) throw tooMany();
    const found = HIDDEN_NAME.test(name) ? undefined : await folder.find(name).catch(refuse);
    if (!found?.isFile() && !found?.isDirectory()) {
      counts.skipped++;
      continue;
    }
    counts.entries++;
    const path = [...above, name].join("/");
    if (Buffer.byteLength(path) > LIMITS.archiveNameBytes) {
      throw new KernelboxError(
        "too_large",
        `A name in the local folder has more than ${LIMITS.archiveNameBytes} bytes, with those of the folders around it.`,
        "Use shorter names, or upload a part of it.",
      );
    }
    const entry = await openIn(folder, name).catch(refuse);
    try {
      if (entry instanceof HostFile) await archive.file(path, entry.sizeBytes, entry.modifiedAt, entry.bytes());
      else {
        archive.folder(path);
        await packHostFolder(entry, archive, counts, [...above, name]);
      }
    } finally {
      await entry.close();
    }
  }
}

function refuse(error: unknown): never {
  throw hostError(error);
}
