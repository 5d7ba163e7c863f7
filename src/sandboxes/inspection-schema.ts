import * as z from "zod";
import { LIMITS } from "../limits.ts";

/** What `context.inspect` answers (docs/channel-protocol.md). Much of it is the user's own text. */

const MISSING = ["busy", "unsupported", "deadline_exceeded", "kernel_died"] as const;
const size = z.number().int().nonnegative();

const variableSchema = z.object({
  name: z.string().max(1_000),
  type: z.string().max(2_000),
  shape: z.array(size).max(64).nullable(),
  size_bytes: size.nullable(),
  preview: z.string().max(4_000).nullable(),
});
const usageSchema = z.object({
  memory_bytes: size,
  cpu_s: z.number().nonnegative(),
  processes: size,
  sandbox: z.object({
    memory_bytes: size,
    memory_limit_bytes: size,
    memory_peak_bytes: size,
    cpu_s: z.number().nonnegative(),
    pids: size,
  }),
});

export const inspectionSchema = z.object({
  current_cwd: z.string().max(4_096).nullable(),
  variables: z.object({ variables: z.array(variableSchema).max(LIMITS.variables), left_out: size }).nullable(),
  packages: z
    .object({
      packages: z.array(z.object({ name: z.string().max(100), version: z.string().max(64) })).max(LIMITS.packages),
      left_out: size,
    })
    .nullable(),
  usage: usageSchema.nullable(),
  complete: z
    .object({
      matches: z.array(z.string().max(1_000)).max(LIMITS.completions),
      cursor_start: size,
      cursor_end: size,
      left_out: size,
    })
    .nullable(),
  inspect: z.object({ found: z.boolean(), text: z.string().max(LIMITS.inspectionCharacters).nullable() }).nullable(),
  missing: z.object({ variables: z.enum(MISSING).optional(), packages: z.enum(MISSING).optional() }),
});
export type SupervisorInspection = z.infer<typeof inspectionSchema>;
export type Missing = (typeof MISSING)[number];
