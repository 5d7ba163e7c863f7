import type { Figure } from "./chart.ts";
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
  /** Texts other than the streams that are shown in part. */
  cuts: Cut[];
}

/** A text that is shown in part; the whole of it is stored as this output. */
export interface Cut {
  field: "result" | "error.value" | "error.traceback";
  shownBytes: number;
  totalBytes: number;
  output: number;
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
  /** The figure as data. */
  chart: Figure | null;
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
