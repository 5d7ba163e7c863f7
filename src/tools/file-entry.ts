import * as z from "zod";
import type { FileEntry } from "../files/files.ts";

/** A file or folder, as several tools give it. */
export const entryOutput = {
  name: z.string(),
  path: z.string(),
  type: z.enum(["file", "directory", "symlink", "other"]),
  size_bytes: z.number(),
  mode: z.string(),
  owner: z.string(),
  group: z.string(),
  modified_at: z.string(),
};

export function entryFields(entry: FileEntry): z.output<z.ZodObject<typeof entryOutput>> {
  return {
    name: entry.name,
    path: entry.path,
    type: entry.type,
    size_bytes: entry.sizeBytes,
    mode: entry.mode,
    owner: entry.owner,
    group: entry.group,
    modified_at: entry.modifiedAt,
  };
}

const WORDS = { file: "file", directory: "folder", symlink: "link", other: "special file" } as const;

export function entryWord(entry: FileEntry): string {
  return WORDS[entry.type];
}
