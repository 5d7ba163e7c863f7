import { createHash } from "node:crypto";
import type { ContextFile } from "./build-context.ts";

/** The version of the channel protocol that the supervisor in sandbox/ speaks; test/unit/engines/docker holds it to the server's own. */
export const IMAGE_PROTOCOL = 1;

/** Twelve hex digits over names and contents: the same wherever and whenever the files were checked out. */
export function contentVersion(files: ContextFile[], protocol: number = IMAGE_PROTOCOL): string {
  const hash = createHash("sha256").update(`protocol ${protocol}\n`);
  const sorted = [...files].sort((a, b) => (a.path < b.path ? -1 : 1));
  for (const { path, bytes } of sorted) hash.update(`${path}\n${bytes.length}\n`).update(bytes);
  return hash.digest("hex").slice(0, 12);
}
