import * as z from "zod";
import { ENDERS } from "../processes/process.ts";
import { changedFile, truncation } from "./execution-output.ts";

/** What `run_command` answers, as fields. */
export const processOutput = {
  process_id: z.string(),
  status: z.enum(["exited", "running", "timeout", "killed"]),
  exit_code: z.number().nullable(),
  signal: z.string().nullable(),
  ended_by: z.enum(ENDERS).nullable().describe("null: by itself."),
  stdout: z.string(),
  stderr: z.string(),
};

/** All of it. What is not above has the same form as in an execution's reply. */
const processFields = z.strictObject({
  ...processOutput,
  sandbox_id: z.string(),
  files: z.array(changedFile),
  truncated: z.array(truncation),
  started_at: z.string(),
  duration_ms: z.number(),
  stops_at: z.string().nullable(),
  notices: z.array(z.string()),
});
export type ProcessFields = z.infer<typeof processFields>;
