import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import type { Log } from "../log.ts";

const rowSchema = z.strictObject({
  file_id: z.string().regex(/^file_[A-Za-z0-9_-]{22}$/),
  principal: z.string(),
  name: z.string(),
  size_bytes: z.int().min(0),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  /** The file with the content, in our folder. */
  content: z.string().regex(/^[0-9a-f]{32}$/),
  created_at: z.iso.datetime(),
  modified_at: z.iso.datetime(),
});

/** What is known of one stored file, as it stands on the disk: `<file_id>.json`, renamed into place. A content that no row names is none. */
export type SharedFileRow = z.infer<typeof rowSchema>;

const CONTENTS = "contents";

/** The store's folder of shared files: a row and a content for each. All names in it are our own ids and numbers. */
export class SharedFileRows {
  readonly #dir: string;
  readonly #log: Log;

  constructor(dir: string, log: Log) {
    this.#dir = dir;
    this.#log = log;
  }

  contentPath(content: string): string {
    return join(this.#dir, CONTENTS, content);
  }

  async makeFolders(): Promise<void> {
    await mkdir(join(this.#dir, CONTENTS), { recursive: true, mode: 0o700 });
  }

  /** It is there, whole, once this settles. */
  async write(row: SharedFileRow): Promise<void> {
    const unfinished = join(this.#dir, `${row.file_id}.new`);
    try {
      await writeFile(unfinished, JSON.stringify(row), { mode: 0o600 });
      await rename(unfinished, this.#path(row.file_id));
    } catch (error) {
      await rm(unfinished, { force: true });
      throw error;
    }
  }

  async remove(fileId: string): Promise<void> {
    await rm(this.#path(fileId), { force: true });
  }

  /** Never rejects: a content that nobody names any more is found again at the next start. */
  async removeContent(content: string): Promise<void> {
    await rm(this.contentPath(content), { force: true }).catch((error) =>
      this.#log.warn({ err: error }, "the content of a stored file could not be removed"),
    );
  }

  /** The rows whose content is there whole; what else lies in the folder was left half done and goes. */
  async read(): Promise<SharedFileRow[]> {
    await this.makeFolders();
    const rows: SharedFileRow[] = [];
    for (const name of await readdir(this.#dir)) {
      if (name === CONTENTS) continue;
      const row = name.endsWith(".json") ? await this.#readRow(name) : undefined;
      if (row !== undefined) rows.push(row);
      else await rm(join(this.#dir, name), { recursive: true, force: true });
    }
    const named = new Set(rows.map((row) => row.content));
    for (const content of await readdir(join(this.#dir, CONTENTS))) if (!named.has(content)) await this.removeContent(content);
    return rows;
  }

  async #readRow(name: string): Promise<SharedFileRow | undefined> {
    try {
      const row = rowSchema.parse(JSON.parse(await readFile(join(this.#dir, name), "utf8")));
      const { size } = await stat(this.contentPath(row.content));
      if (name === `${row.file_id}.json` && size === row.size_bytes) return row;
      throw new TypeError(`It has ${size} bytes of ${row.size_bytes}.`);
    } catch (error) {
      this.#log.warn({ err: error, row: name }, "a stored file is not whole and is dropped");
      return undefined;
    }
  }

  #path(fileId: string): string {
    return join(this.#dir, `${fileId}.json`);
  }
}
