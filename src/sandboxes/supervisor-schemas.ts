import * as z from "zod";
import { lossSchema } from "../events/event.ts";

/** What the supervisor answers to each request (docs/channel-protocol.md, "Requests"), with a bound on everything. */

export const emptySchema = z.object({});

export const contextSchema = z.object({
  context_id: z.string().max(64),
  language: z.string().max(32),
  cwd: z.string().max(4_096),
  name: z.string().max(256).nullish(),
  incarnation: z.number().int().positive(),
  state: z.enum(["starting", "idle", "busy", "dead"]),
  execution_count: z.number().int().nullish(),
  queued: z.number().int().nonnegative().default(0),
  created_at: z.string().max(40),
  last_activity_at: z.string().max(40).nullish(),
  loss: lossSchema.nullish(),
});
export const contextsSchema = z.object({ contexts: z.array(contextSchema).max(1_000) });
export type SupervisorContext = z.infer<typeof contextSchema>;

export const executionStartedSchema = z.object({ state: z.string().max(20) });
export const executionCancelledSchema = z.object({ state: z.enum(["stopping", "dropped", "ended"]) });
export const eventsSchema = z.object({ last_event: z.number().int().nonnegative() });

export const entrySchema = z.object({
  name: z.string().max(1_024),
  path: z.string().max(8_192),
  type: z.enum(["file", "directory", "symlink", "other"]),
  size_bytes: z.number().nonnegative(),
  mode: z.string().max(8),
  owner: z.string().max(64),
  group: z.string().max(64),
  mtime_ms: z.number(),
  lossy: z.boolean().optional(),
});
export const statSchema = entrySchema.extend({ version: z.string().max(200) });
export type SupervisorEntry = z.infer<typeof entrySchema>;

export const listSchema = z.object({
  path: z.string().max(8_192),
  entries: z.array(entrySchema).max(10_000),
  next: z.string().max(12_288).nullish(),
});
export const changesSchema = z.object({
  seq: z.number().int().nonnegative(),
  changes: z.array(z.object({ path: z.string().max(8_192), change: z.enum(["created", "modified", "removed"]) })).max(1_000),
  is_complete: z.boolean(),
  via: z.enum(["inotify", "scan"]),
});
export const readSchema = z.object({
  path: z.string().max(8_192),
  size_bytes: z.number().nonnegative(),
  sent_bytes: z.number().nonnegative(),
  mtime_ms: z.number(),
  mode: z.string().max(8),
  version: z.string().max(200),
  /** It shrank, or was written over, while it was read. */
  changed: z.boolean(),
});
export const removedSchema = z.object({ removed: z.boolean() });
export const fittedSchema = z.object({ sent_bytes: z.number().nonnegative() });
export const writtenSchema = z.object({ path: z.string().max(8_192), size_bytes: z.number().nonnegative(), created: z.boolean() });
