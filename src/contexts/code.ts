import { createHash } from "node:crypto";
import { KernelboxError } from "../errors.ts";
import { LIMITS } from "../limits.ts";

const LONE_SURROGATE = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/;

/** Refuses what no language can run as it came, before anything is made for it. */
export function checkCode(code: string): void {
  const bytes = Buffer.byteLength(code);
  if (bytes > LIMITS.codeBytes) {
    throw new KernelboxError(
      "too_large",
      `The code has ${bytes} bytes; at most ${LIMITS.codeBytes} are taken.`,
      "Write data to a file with write_file and read it in the code.",
    );
  }
  if (code.trim() === "") {
    throw new KernelboxError("invalid_argument", "The code is empty.", "Give the source code to run in code, as plain text.");
  }
  const nul = code.indexOf("\0");
  if (nul !== -1) {
    throw new KernelboxError(
      "invalid_argument",
      `The code has a NUL character at ${place(code, nul)}.`,
      "Write it as an escape of the language, \\x00 in a string, or put binary data into a file with write_file.",
    );
  }
  const half = code.search(LONE_SURROGATE);
  if (half !== -1) {
    throw new KernelboxError(
      "invalid_argument",
      `The code has half of a surrogate pair at ${place(code, half)}, which is no character.`,
      "Send the whole character, or write an escape of the language, \\ud800 in a string.",
    );
  }
}

/** Tells whether two pieces of code are the same without keeping them. */
export function digestOf(code: string): string {
  return createHash("sha256").update(code).digest("base64url");
}

function place(code: string, at: number): string {
  const lines = code.slice(0, at).split("\n");
  return `line ${lines.length}, column ${(lines.at(-1) as string).length + 1}`;
}
