import * as z from "zod";
import type { ExecutionReply } from "../contexts/executions.ts";
import type { ExecutionResult, Output, StreamText } from "../events/result.ts";
import { fileUri, outputUri, streamUri } from "../files/uris.ts";
import { LIMITS } from "../limits.ts";
import type { Block, ToolReply } from "./define-tool.ts";

/** The reply to a piece of code: the same facts once as fields and once as prose with pictures, each complete without the other. */

const truncation = z.strictObject({
  field: z.string(),
  shown_bytes: z.number(),
  total_bytes: z.number(),
  rest: z.string().describe("Reads with read_file."),
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
      chart: z.null().describe("Reserved: the figure as data."),
    }),
  ),
  files: z.array(z.strictObject({ path: z.string(), change: z.enum(["created", "modified"]), size_bytes: z.number(), uri: z.string() })),
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

type Structured = z.infer<z.ZodObject<typeof executionOutput>>;

const PICTURE_TYPES = new Set(["image/png", "image/jpeg", "image/gif", "image/webp"]);
/** Room for JSON-RPC, links and the JSON escapes of text, beside pictures. */
const REPLY_OVERHEAD_BYTES = 20_000;

export async function executionReply(reply: ExecutionReply): Promise<ToolReply<Structured>> {
  const { result } = reply;
  const structured: Structured = {
    status: result.status,
    execution_id: reply.executionId,
    context_id: reply.contextId,
    sandbox_id: reply.sandboxId,
    language: reply.language,
    execution_count: result.executionCount,
    stdout: result.stdout.text,
    stderr: result.stderr.text,
    result: result.result,
    result_json: result.resultJson ?? null,
    error: result.error,
    outputs: result.outputs.map((output) => outputFields(reply.executionId, output)),
    files: result.files.map((file) => ({
      path: file.path,
      change: file.change,
      size_bytes: file.sizeBytes,
      uri: fileUri(reply.sandboxId, file.path),
    })),
    state: result.state,
    truncated: truncations(reply),
    started_at: result.startedAt,
    duration_ms: result.durationMs,
    stops_at: result.stopsAt,
    notices: [...result.notices],
  };
  const spent = 2 * Buffer.byteLength(JSON.stringify(structured)) + REPLY_OVERHEAD_BYTES;
  const pictures = await picturesOf(reply, LIMITS.replyBytes - spent, structured.notices);
  // What kernelbox://executions/{id} gives.
  reply.record.reply = structured;
  return { structured, blocks: [{ type: "text", text: prose(structured) }, ...pictures, ...links(structured)] };
}

function outputFields(executionId: string, output: Output): Structured["outputs"][number] {
  return {
    n: output.n,
    type: output.type,
    mime_types: output.mimeTypes,
    text: output.text,
    uri: outputUri(executionId, output.n),
    width_px: output.widthPx,
    height_px: output.heightPx,
    size_bytes: output.sizeBytes,
    chart: null,
  };
}

function truncations(reply: ExecutionReply): Structured["truncated"] {
  const streams: [field: "stdout" | "stderr", text: StreamText][] = [
    ["stdout", reply.result.stdout],
    ["stderr", reply.result.stderr],
  ];
  return streams
    .filter(([, text]) => text.leftOut > 0)
    .map(([field, text]) => ({
      field,
      shown_bytes: Buffer.byteLength(text.text),
      total_bytes: text.totalBytes,
      rest: streamUri(reply.executionId, field),
    }));
}

/** As many pictures as fit, in order; what does not fit is one link away, and the reply says so. */
async function picturesOf(reply: ExecutionReply, budgetBytes: number, notices: string[]): Promise<Block[]> {
  const blocks: Block[] = [];
  let left = budgetBytes;
  for (const output of reply.result.outputs) {
    if (!PICTURE_TYPES.has(output.type)) continue;
    const base64Bytes = Math.ceil(output.sizeBytes / 3) * 4;
    if (base64Bytes > left || output.sizeBytes > LIMITS.replyImageBytes) {
      notices.push(
        `Picture ${output.n} (${output.sizeBytes} bytes) is too large for this reply: save a smaller one, or see ${outputUri(reply.executionId, output.n)}.`,
      );
      continue;
    }
    const stored = await reply.record.readOutput(output.n, output.type);
    if (stored === undefined) continue;
    left -= base64Bytes;
    blocks.push({ type: "image", data: stored.bytes, mimeType: stored.type });
  }
  return blocks;
}

function links(structured: Structured): Block[] {
  const outputs: Block[] = structured.outputs.map((output) => ({
    type: "link",
    uri: output.uri,
    name: `output ${output.n}`,
    mimeType: output.type,
    sizeBytes: output.size_bytes,
  }));
  const files: Block[] = structured.files.map((file) => ({
    type: "link",
    uri: file.uri,
    name: file.path.slice(file.path.lastIndexOf("/") + 1),
    sizeBytes: file.size_bytes,
  }));
  return [...outputs, ...files].slice(0, LIMITS.replyLinks);
}

const HEADLINES = {
  ok: "Ran to its end",
  error: "Raised an error",
  timeout: "Stopped at its timeout",
  cancelled: "Cancelled",
  died: "The kernel died while this ran",
  running: "Still running",
  queued: "Waiting its turn",
} as const satisfies Record<ExecutionResult["status"], string>;

function prose(reply: Structured): string {
  const parts: string[] = [];
  const { state } = reply;
  if (state.variables === "lost") parts.push(state.message ?? "Variables are lost.");
  const kept = state.variables === "kept" && (reply.status === "timeout" || reply.status === "cancelled") ? "; variables are kept" : "";
  parts.push(`${HEADLINES[reply.status]} (${reply.duration_ms} ms${kept}).`);
  if (reply.stdout !== "") parts.push(fenced("stdout", reply.stdout));
  if (reply.stderr !== "") parts.push(fenced("stderr", reply.stderr));
  if (reply.error !== null) parts.push(fenced("error", errorText(reply.error)));
  if (reply.result !== null) parts.push(fenced("result", reply.result));
  for (const output of reply.outputs) parts.push(outputText(output));
  for (const file of reply.files) parts.push(`File ${file.change}: ${JSON.stringify(file.path)} (${file.size_bytes} bytes) ${file.uri}`);
  for (const cut of reply.truncated) {
    parts.push(`${cut.field} is shown in part (${cut.total_bytes} bytes in all); the rest: read_file with path "${cut.rest}".`);
  }
  parts.push(...reply.notices.map((notice) => `Note: ${notice}`));
  parts.push(`context_id ${reply.context_id}, execution_id ${reply.execution_id}, incarnation ${state.incarnation}`);
  return parts.join("\n");
}

function outputText(output: Structured["outputs"][number]): string {
  const size = output.width_px === null ? "" : `, ${output.width_px} × ${output.height_px} px`;
  const head = `Output ${output.n}: ${output.type}${size}, ${output.size_bytes} bytes, ${output.uri}`;
  return output.text === null || PICTURE_TYPES.has(output.type) ? head : `${head}\n${fenced("text", output.text)}`;
}

function errorText(error: { name: string; value: string; traceback: string }): string {
  return error.traceback === "" ? `${error.name}: ${error.value}` : error.traceback;
}

/** A fence longer than any in the text, so that the text cannot end its own block. */
function fenced(name: string, text: string): string {
  const longest = Math.max(2, ...[...text.matchAll(/`+/g)].map((run) => run[0].length));
  const fence = "`".repeat(longest + 1);
  return `${fence}${name}\n${text}${text.endsWith("\n") ? "" : "\n"}${fence}`;
}
