import * as z from "zod";

/** What `execute_code` answers, as fields. */

export const truncation = z.strictObject({
  field: z.string(),
  shown_bytes: z.number(),
  total_bytes: z.number(),
  rest: z.string().describe("Reads with read_file."),
});

export const changedFile = z.strictObject({
  path: z.string(),
  change: z.enum(["created", "modified"]),
  size_bytes: z.number(),
  uri: z.string(),
});

export const executionOutput = {
  status: z.enum(["ok", "error", "timeout", "cancelled", "died", "running", "queued"]),
  execution_id: z.string(),
  context_id: z.string(),
  sandbox_id: z.string(),
  language: z.string(),
  execution_count: z.number().nullable(),
  stdout: z.string(),
  stderr: z.string(),
  result: z.string().nullable().describe("Last expression, as text."),
  result_json: z.unknown().describe("That value where it is JSON."),
  error: z.strictObject({ name: z.string(), value: z.string(), traceback: z.string() }).nullable(),
  outputs: z.array(
    z.strictObject({
      n: z.number(),
      type: z.string(),
      mime_types: z.array(z.string()),
      text: z.string().nullable(),
      uri: z.string(),
      width_px: z.number().nullable(),
      height_px: z.number().nullable(),
      size_bytes: z.number(),
      chart: z.unknown().describe("The figure as data, or null."),
    }),
  ),
  files: z.array(changedFile),
  state: z.strictObject({
    incarnation: z.number(),
    variables: z.enum(["kept", "lost"]),
    reason: z.string().nullable(),
    message: z.string().nullable(),
  }),
  truncated: z.array(truncation),
  started_at: z.string().nullable(),
  duration_ms: z.number(),
  stops_at: z.string().nullable(),
  notices: z.array(z.string()),
};

export type ExecutionFields = z.infer<z.ZodObject<typeof executionOutput>>;
