import { once } from "node:events";
import { type Extract, extract, type Pack, pack } from "tar-stream";
import { KernelboxError } from "../../errors.ts";
import { legible } from "../../events/quoted.ts";
import { LIMITS } from "../../limits.ts";
import { badArchive, boundedTar, tooMany } from "./tar-bounds.ts";

/** The writer of tars counts seconds in 32 bits, with a sign. */
const LAST_TAR_MS = (2 ** 31 - 1) * 1_000;

/** Where an archive is unpacked. Paths are relative, of checked parts. */
export interface UnpackFolder {
  makeFolder(path: string): Promise<void>;
  writeFile(path: string, body: AsyncIterable<Uint8Array>): Promise<void>;
}

export interface ArchiveCounts {
  /** Files and folders that went in or out. */
  entries: number;
  /** Links, special files and what else is left out. */
  skipped: number;
}

/** Unpacks a tar that anybody may have made: files and folders only, beneath the folder, each once, all of it bounded. Stops at the first bad name. */
export async function unpack(bytes: AsyncIterable<Uint8Array>, folder: UnpackFolder): Promise<ArchiveCounts> {
  const extractor = extract();
  const names = new EntryNames();
  const counts: ArchiveCounts = { entries: 0, skipped: 0 };
  // What fails first is the reason; what fails after it, on the other side, only follows.
  let reason: unknown;
  const feeding = feed(extractor, boundedTar(bytes)).catch((error) => {
    reason ??= KernelboxError.from(error);
    extractor.destroy(error);
  });
  try {
    for await (const entry of extractor) await unpackEntry(entry, names, folder, counts);
  } catch (error) {
    reason ??= error instanceof KernelboxError ? error : badArchive("a part of it is damaged");
  }
  await feeding;
  if (reason !== undefined) throw reason;
  return counts;
}

type TarEntry = Extract extends AsyncIterable<infer Each> ? Each : never;

async function unpackEntry(entry: TarEntry, names: EntryNames, folder: UnpackFolder, counts: ArchiveCounts): Promise<void> {
  const { header } = entry;
  const isSparse = Object.keys((header.pax ?? {}) as object).some((key) => key.startsWith("GNU.sparse."));
  const isFolder = header.type === "directory" || (header.type === "file" && header.size === 0 && header.name.endsWith("/"));
  const isFile = (header.type === "file" || header.type === "contiguous-file") && !isFolder && !isSparse;
  if (!isFolder && !isFile) {
    counts.skipped++;
    entry.resume();
    // As many of them are looked at as of others.
    names.count();
    return;
  }
  const path = names.add(header.name, isFolder);
  if (path === undefined) return;
  if (isFolder) await folder.makeFolder(path);
  else await writeWhole(path, entry as AsyncIterable<Uint8Array>, folder);
  counts.entries++;
}

/** Throws where the folder is content with less than all of the file: the archive would end there as if it were whole, or never. */
async function writeWhole(path: string, body: AsyncIterable<Uint8Array>, folder: UnpackFolder): Promise<void> {
  let isWhole = false;
  const pieces = async function* () {
    for await (const piece of body) yield piece;
    isWhole = true;
  };
  await folder.writeFile(path, pieces());
  if (!isWhole) throw new KernelboxError("internal", "A file of the archive was not taken to its end.", "Try once more.");
}

/** What is in an archive so far. */
class EntryNames {
  readonly #files = new Set<string>();
  readonly #folders = new Set<string>();
  #count = 0;

  count(): void {
    if (++this.#count > LIMITS.archiveEntries) throw tooMany();
  }

  /** The path of the entry beneath the folder; undefined for the folder itself, or one that is there already. */
  add(name: string, isFolder: boolean): string | undefined {
    this.count();
    const refuse = (why: string) => badArchive(why, { name: legible(name.slice(0, LIMITS.archiveNameBytes)) });
    if (name.startsWith("/")) throw refuse("a name in it is absolute");
    if (name.includes("\0") || Buffer.byteLength(name) > LIMITS.archiveNameBytes)
      throw refuse("a name in it is too long or holds a NUL character");
    const parts = name.split("/").filter((part) => part !== "" && part !== ".");
    if (parts.includes("..")) throw refuse("a name in it leads out of its folder");
    if (parts.length > LIMITS.archiveDepth) throw refuse(`a name in it has more than ${LIMITS.archiveDepth} parts`);
    if (parts.some((part) => Buffer.byteLength(part) > LIMITS.fileNameBytes)) throw refuse("a part of a name in it is too long");
    const path = parts.join("/");
    if (path === "" && isFolder) return undefined;
    const parents = parts.slice(0, -1).map((_, at) => parts.slice(0, at + 1).join("/"));
    const isTaken = this.#files.has(path) || (!isFolder && this.#folders.has(path)) || parents.some((parent) => this.#files.has(parent));
    if (path === "" || isTaken) throw refuse("a name is in it twice, or is both a file and a folder");
    for (const parent of parents) {
      if (this.#folders.has(parent)) continue;
      // It is made as well, and its name kept.
      this.count();
      this.#folders.add(parent);
    }
    if (!isFolder) this.#files.add(path);
    else if (this.#folders.has(path)) return undefined;
    else this.#folders.add(path);
    return path;
  }
}

async function feed(extractor: Extract, bytes: AsyncIterable<Uint8Array>): Promise<undefined> {
  for await (const chunk of bytes) {
    // Whoever destroyed it says why.
    if (extractor.destroyed) return;
    if (!extractor.write(chunk)) await drained(extractor);
  }
  extractor.end(null);
}

/** A tar of what `fill` puts in, made at the pace at which it is read. Whoever leaves waits until `fill` has, but is not told how that ended. */
export async function* packed(fill: (archive: Packing) => Promise<void>): AsyncGenerator<Buffer> {
  const archive = pack();
  const filling = fill(new Packing(archive)).then(
    () => archive.finalize(),
    (error) => {
      archive.destroy(error);
      throw error;
    },
  );
  filling.catch(() => {});
  try {
    for await (const chunk of archive) yield chunk as Buffer;
    await filling;
  } finally {
    archive.destroy(null);
    await filling.catch(() => {});
  }
}

/** A tar while it is made: modes and owners are not part of it, since they mean nothing where it goes. */
export class Packing {
  readonly #archive: Pack;

  constructor(archive: Pack) {
    this.#archive = archive;
  }

  folder(name: string): void {
    this.#entry({ name: `${name}/`, type: "directory", mode: 0o755, mtime: new Date() });
  }

  /** The body has as many bytes as were said, or throws. */
  async file(name: string, sizeBytes: number, modifiedAt: Date, body: AsyncIterable<Uint8Array>): Promise<void> {
    const entry = this.#entry({ name, type: "file", size: sizeBytes, mode: 0o644, mtime: writable(modifiedAt) });
    let bytes = 0;
    for await (const chunk of body) {
      if (entry.destroyed) throw KernelboxError.cancelled();
      bytes += chunk.length;
      if (bytes > sizeBytes) break;
      if (!entry.write(chunk)) await drained(entry);
    }
    if (entry.destroyed) throw KernelboxError.cancelled();
    if (bytes !== sizeBytes) {
      throw new KernelboxError(
        "busy",
        "A file of the folder was changed while it was read; nothing was written.",
        "Try again when nothing writes to it.",
      );
    }
    const closed = once(entry, "close");
    entry.end(null);
    await closed;
  }

  #entry(header: Parameters<Pack["entry"]>[0]): ReturnType<Pack["entry"]> {
    // It throws something of its own where nobody reads any more.
    if (this.#archive.destroyed) throw KernelboxError.cancelled();
    const entry = this.#archive.entry(header);
    entry.on("error", () => {});
    return entry;
  }
}

/** A time as the field of a header holds it. */
function writable(time: Date): Date {
  return new Date(Math.min(Math.max(time.getTime(), 0), LAST_TAR_MS));
}

/** Until there is room again, or nobody takes any more. */
async function drained(stream: NodeJS.EventEmitter & { destroyed: boolean }): Promise<void> {
  if (stream.destroyed) return;
  const either = new AbortController();
  const wait = (event: string) => once(stream, event, { signal: either.signal }).catch(() => {});
  await Promise.race([wait("drain"), wait("close")]);
  either.abort();
}
