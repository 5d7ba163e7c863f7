import type { Figure } from "../events/chart.ts";
import { legible, quoted } from "../events/quoted.ts";
import type { ExecutionResult } from "../events/result.ts";
import { isShownPicture } from "../files/media-type.ts";
import { LIMITS } from "../limits.ts";
import { chartText } from "./chart-text.ts";
import type { ExecutionFields } from "./execution-output.ts";
import { fenced } from "./fenced.ts";

const HEADLINES = {
  ok: "Ran to its end",
  error: "Raised an error",
  timeout: "Stopped at its timeout",
  cancelled: "Cancelled",
  died: "The kernel died while this ran",
  running: "Still running",
  queued: "Waiting its turn",
} as const satisfies Record<ExecutionResult["status"], string>;

/** The same facts as the fields, for readers of text. */
export function prose(reply: ExecutionFields): string {
  const parts: string[] = [];
  const { state } = reply;
  if (state.variables === "lost") parts.push(state.message ?? "Variables are lost.");
  const kept = state.variables === "kept" && (reply.status === "timeout" || reply.status === "cancelled") ? "; variables are kept" : "";
  const headline =
    reply.status === "died" && reply.started_at === null ? "The sandbox was lost before this began" : HEADLINES[reply.status];
  parts.push(`${headline} (${reply.duration_ms} ms${kept}).`);
  if (reply.stdout !== "") parts.push(fenced("stdout", reply.stdout));
  if (reply.stderr !== "") parts.push(fenced("stderr", reply.stderr));
  if (reply.error !== null) parts.push(fenced("error", errorText(reply.error)));
  if (reply.result !== null) parts.push(fenced("result", reply.result));
  const figures = reply.outputs.filter(({ chart }) => chart !== null).length;
  for (const output of reply.outputs) parts.push(outputText(output, reply.result, figures));
  for (const file of reply.files) parts.push(`File ${file.change}: ${quoted(file.path)} (${file.size_bytes} bytes) ${file.uri}`);
  for (const cut of reply.truncated) {
    parts.push(`${cut.field} is shown in part (${cut.total_bytes} bytes in all); the rest: read_file with path "${cut.rest}".`);
  }
  parts.push(...reply.notices.map((notice) => `Note: ${notice}`));
  parts.push(`context_id ${reply.context_id}, execution_id ${reply.execution_id}, incarnation ${state.incarnation}`);
  return parts.join("\n");
}

function outputText(output: ExecutionFields["outputs"][number], result: string | null, figures: number): string {
  const size = output.width_px === null ? "" : `, ${output.width_px} × ${output.height_px} px`;
  const head = `Output ${output.n}: ${legible(output.type)}${size}, ${output.size_bytes} bytes, ${output.uri}`;
  const parts = [head];
  const others = output.mime_types.filter((type) => type !== output.type && type !== "text/plain");
  if (others.length > 0) parts.push(`It is also kept as ${others.map(legible).join(", ")}: append /TYPE to its uri.`);
  if (output.text !== null && !isShownPicture(output.type) && !isTold(output.text, result)) parts.push(fenced("text", output.text));
  if (output.chart !== null) parts.push(fenced("chart", chartText(output.chart as Figure, figures)));
  return parts.join("\n");
}

/** A table is a result and an output, whose text is the same, or the same cut shorter. */
function isTold(text: string, result: string | null): boolean {
  if (result === null || text.length <= LIMITS.replyOutputTextCharacters) return text === result;
  const part = Math.floor(0.4 * LIMITS.replyOutputTextCharacters);
  return result.startsWith(text.slice(0, part)) && result.endsWith(text.slice(-part));
}

function errorText(error: { name: string; value: string; traceback: string }): string {
  const last = error.value === "" ? error.name : `${error.name}: ${error.value}`;
  if (error.traceback === "") return last;
  // A syntax error's place is in its traceback already.
  const bare = last.replace(/ \([^()\n]{1,200}, line \d+\)$/, "");
  return error.traceback.includes(bare) ? error.traceback : `${error.traceback.trimEnd()}\n${last}`;
}
