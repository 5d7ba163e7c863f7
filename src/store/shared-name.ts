import { KernelboxError } from "../errors.ts";
import { LIMITS } from "../limits.ts";

/**
 * Throws `invalid_argument` unless this can be the name of a stored file in every sandbox: one part of a path, so that no two names can stand in each
 * other's way. The store's own files never have it.
 */
export function checkSharedName(name: string): void {
  const fault = faultOf(name);
  if (fault === undefined) return;
  throw new KernelboxError(
    "invalid_argument",
    `The name of a shared file ${fault}.`,
    "Give one plain name like data.csv; the file appears as /mnt/shared/data.csv in each sandbox.",
  );
}

function faultOf(name: string): string | undefined {
  if (name === "") return "is empty";
  if (!name.isWellFormed()) return "is not valid Unicode";
  const bytes = Buffer.byteLength(name);
  if (bytes > LIMITS.sharedNameBytes) return `has ${bytes} bytes; it may have ${LIMITS.sharedNameBytes}`;
  if (/[/\\]/.test(name)) return "has a slash in it; folders are not kept";
  if (name.startsWith(".")) return "begins with a dot";
  if (/[\p{Cc}\p{Zl}\p{Zp}]/u.test(name)) return "has a control character or a line break in it";
  return undefined;
}
