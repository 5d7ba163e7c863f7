import { expect } from "vitest";
import { KernelboxError } from "../../src/errors.ts";
import { type UnpackFolder, unpack } from "../../src/files/transfers/archives.ts";
import { LIMITS } from "../../src/limits.ts";

/** What reaches the folder, which looks at every name by itself. */
export class Recorded implements UnpackFolder {
  readonly tree = new Map<string, string | null>();
  bytes = 0;

  async makeFolder(path: string): Promise<void> {
    this.#check(path);
    this.tree.set(path, null);
  }

  async writeFile(path: string, body: AsyncIterable<Uint8Array>): Promise<void> {
    this.#check(path);
    this.tree.set(path, "");
    const pieces: Uint8Array[] = [];
    for await (const piece of body) {
      this.bytes += piece.length;
      pieces.push(piece);
    }
    this.tree.set(path, Buffer.concat(pieces).toString("latin1"));
  }

  #check(path: string): void {
    const parts = path.split("/");
    for (const part of parts) {
      expect(["", ".", ".."]).not.toContain(part);
      expect(part).not.toContain("\0");
      expect(Buffer.byteLength(part)).toBeLessThanOrEqual(LIMITS.fileNameBytes);
    }
    expect(parts.length).toBeLessThanOrEqual(LIMITS.archiveDepth);
    expect(Buffer.byteLength(path)).toBeLessThanOrEqual(LIMITS.archiveNameBytes);
    expect(this.tree.has(path), `${path} came twice`).toBe(false);
    for (let at = 1; at < parts.length; at++)
      expect(this.tree.get(parts.slice(0, at).join("/")) ?? null, `${path} beneath a file`).toBeNull();
    expect(this.tree.size).toBeLessThan(LIMITS.archiveEntries);
  }
}

export async function* stream(bytes: Iterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield* bytes;
}

export interface Outcome {
  code: string;
  entries: number;
  skipped: number;
  tree: Record<string, string | null>;
}

/** Fails where it does not end, or where a refusal is not one of ours. */
export async function outcome(bytes: Iterable<Uint8Array> | AsyncIterable<Uint8Array>, folder = new Recorded()): Promise<Outcome> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new TypeError("it does not end")), 60_000);
  });
  const source = Symbol.asyncIterator in bytes ? bytes : stream(bytes);
  try {
    const counts = await Promise.race([unpack(source, folder), late]);
    return { code: "ok", ...counts, tree: Object.fromEntries(folder.tree) };
  } catch (error) {
    if (!(error instanceof KernelboxError)) throw error;
    expect(error.hint).not.toBe("");
    return { code: error.code, entries: folder.tree.size, skipped: 0, tree: Object.fromEntries(folder.tree) };
  } finally {
    clearTimeout(timer);
  }
}
