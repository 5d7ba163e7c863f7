import { randomBytes } from "node:crypto";

const ID_BYTES = 16;

/** An unguessable handle: the prefix says what it names, 128 random bits the rest. */
export function newId(prefix: "sbx" | "ctx" | "exe" | "prc" | "file"): string {
  return `${prefix}_${randomBytes(ID_BYTES).toString("base64url")}`;
}
