import * as z from "zod";
import { LANGUAGE_NAMES } from "../contexts/languages.ts";
import { LIMITS } from "../limits.ts";

/** Arguments and results that several tools have in common: one name, one meaning, one description. */

export const sandboxId = z.string().max(40).optional().describe("Leave out to use your own sandbox.");
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
export const language = z.enum(LANGUAGE_NAMES, { error: `the languages are ${LANGUAGE_NAMES.join(", ")}` });

export const contextOutput = {
  context_id: z.string(),
  sandbox_id: z.string(),
  language: z.string(),
  cwd: z.string(),
  name: z.string().nullable(),
  incarnation: z.number().describe("+1 whenever the kernel was replaced, so variables are gone."),
  state: z.enum(["idle", "busy", "starting", "dead"]),
  queued: z.number(),
  created_at: z.string(),
  last_activity_at: z.string().nullable(),
};
