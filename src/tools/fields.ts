import * as z from "zod";
import { LANGUAGE_NAMES } from "../contexts/languages.ts";
import { LIMITS } from "../limits.ts";

/** Arguments and results that several tools have in common: one name, one meaning, one description. */

export const sandboxId = z.string().max(40).optional().describe("Leave out to use your own sandbox.");
/** Where another id says the sandbox, and this one is only checked. */
export const itsSandboxId = z.string().max(40).optional();
export const contextId = z.string().max(40).describe("From create_context, list_contexts or an execute_code reply.");
/** Where another argument has said already what a path is. */
export const furtherPath = z.string().min(1).max(LIMITS.uriCharacters);
export const path = furtherPath.describe(
  "Absolute, or relative to /home/user (/mnt/data is the same folder), or a file's uri from a reply.",
);
export const mode = z.string().regex(/^0?[0-7]{3}$/, "three octal digits, like 644");
export const localPath = z.string().max(LIMITS.pathBytes).describe("On the user's machine, in a folder that --allow-dir names.");
export const fileScope = z.enum(["sandbox", "shared"]).default("sandbox");
export const env = z.record(z.string(), z.string()).describe("Environment variables.");
export const processId = z.string().max(40).describe("From a run_command reply.");
export const language = z.enum(LANGUAGE_NAMES, { error: `the languages are ${LANGUAGE_NAMES.join(", ")}` });

/** The fields of a context that programs need; a reply has more. */
export const contextOutput = {
  context_id: z.string(),
  language: z.string(),
  incarnation: z.number(),
  state: z.enum(["idle", "busy", "starting", "dead"]),
};
