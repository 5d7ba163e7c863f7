import type { LossReason } from "./event.ts";

/** The events of one execution, folded. Text is plain and bounded; bytes are in the store, under the output's number. */
export interface ExecutionResult {
  status: "ok" | "error" | "timeout" | "cancelled" | "died" | "running" | "queued";
  executionCount: number | null;
  stdout: StreamText;
  stderr: StreamText;
  result: string | null;
  resultJson: unknown;
  error: { name: string; value: string; traceback: string } | null;
  outputs: Output[];
  files: ChangedFile[];
  state: State;
  startedAt: string | null;
  durationMs: number;
  stopsAt: string | null;
  notices: string[];
}

export interface StreamText {
  text: string;
  /** Characters that the text does not show. */
  leftOut: number;
  totalBytes: number;
}

export interface Output {
  /** From 1, in order. */
  n: number;
  /** The richest of its types that a host is likely to show. */
  type: string;
  mimeTypes: string[];
  text: string | null;
  widthPx: number | null;
  heightPx: number | null;
  sizeBytes: number;
}

export interface ChangedFile {
  path: string;
  change: "created" | "modified";
  sizeBytes: number;
}

export interface State {
  incarnation: number;
  variables: "kept" | "lost";
  reason: LossReason | null;
  message: string | null;
}
