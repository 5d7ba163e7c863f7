import { KernelboxError } from "../errors.ts";
import { LIMITS } from "../limits.ts";
import { type Edit, edited } from "./edits.ts";
import type { Caller, Files, FileTarget } from "./files.ts";
import { decodeText } from "./read-window.ts";

export interface EditFile extends FileTarget {
  edits: readonly Edit[];
  /** Says what would change, and writes nothing. */
  dryRun: boolean;
}

export interface EditedFile {
  path: string;
  sizeBytes: number;
  /** Unified; null where working it out takes too long. */
  diff: string | null;
}

/**
 * Edits a text where it stands in the sandbox: read, changed here, and written only where it is still what was read. Where somebody else wrote
 * meanwhile it begins again from what they wrote, so that neither change is lost.
 */
export async function editFile(files: Files, request: EditFile, caller: Caller): Promise<EditedFile> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await edit(files, request, caller);
    } catch (error) {
      if (KernelboxError.from(error).code !== "busy" || attempt >= LIMITS.editTries) throw error;
    }
  }
}

async function edit(files: Files, { edits, dryRun, ...target }: EditFile, caller: Caller): Promise<EditedFile> {
  const found = await files.stat(target, caller);
  const place = { sandboxId: found.sandboxId, path: found.path };
  if (found.sizeBytes > LIMITS.editFileBytes) {
    throw new KernelboxError(
      "too_large",
      `The file has ${found.sizeBytes} bytes; edit_file takes at most ${LIMITS.editFileBytes}.`,
      "Change it in code.",
    );
  }
  const parts: Buffer[] = [];
  await files.read({ ...place, offset: 0, limit: found.sizeBytes }, caller, (chunk) => parts.push(chunk) > 0);
  const before = decodeText(Buffer.concat(parts));
  const after = edited(before, edits);
  const content = Buffer.from(after);
  const result = { path: found.path, sizeBytes: content.length, diff: await differenceOf(found.path, before, after) };
  if (dryRun || after === before) return result;
  const write = { ...place, content, createParents: false, append: false, overwrite: true, ifVersion: found.version };
  return { ...result, sizeBytes: (await files.write(write, caller)).sizeBytes };
}

async function differenceOf(path: string, before: string, after: string): Promise<string | null> {
  // Loaded here: a server is there sooner without it.
  const { createTwoFilesPatch } = await import("diff");
  const patch = createTwoFilesPatch(path, path, before, after, undefined, undefined, { context: 3, timeout: LIMITS.diffMs });
  // Behind the line of equals signs that this format begins with.
  return patch === undefined ? null : patch.slice(patch.indexOf("\n") + 1);
}
