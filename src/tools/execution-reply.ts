import type { ExecutionReply } from "../contexts/executions.ts";
import { CHART_TYPE, type Figure } from "../events/chart.ts";
import { legible } from "../events/quoted.ts";
import type { Output, StreamText } from "../events/result.ts";
import { fileUri, outputUri, streamUri } from "../files/uris.ts";
import { LIMITS } from "../limits.ts";
import { chartText } from "./chart-text.ts";
import type { Block, ToolReply } from "./define-tool.ts";
import type { ExecutionFields } from "./execution-output.ts";
import { prose } from "./execution-prose.ts";
import { jsonBytes, mostThatFit, replyBytes } from "./reply-size.ts";
import { type Fit, possibleNotices, shownPictures } from "./shown-pictures.ts";

/** The reply to a piece of code: the same facts once as fields and once as prose with pictures, each complete without the other. */

/** How many of a reply's lists it shows: links, files, and outputs with their text and all their types. */
interface Shown {
  links: number;
  files: number;
  texts: number;
  charts: number;
}

/** `reserved` bytes are left free for what the caller puts beside it. */
export async function executionReply(reply: ExecutionReply, makeFit: Fit, reserved = 0): Promise<ToolReply<ExecutionFields>> {
  const whole = fields(reply);
  const bytesMax = LIMITS.replyBytes - reserved;
  // The room that notices about pictures could take is kept free, so the pictures themselves can take all the rest.
  const asides = possibleNotices(reply.executionId, reply.result.outputs);
  const shown = whatFits(whole, asides, bytesMax);
  const room = bytesMax - replyBytes(rendered(whole, shown, asides));
  const pictures = await shownPictures(reply, room, makeFit);
  const { structured, blocks } = rendered(whole, shown, pictures.notices);
  const [text, ...links] = blocks as [Block, ...Block[]];
  return { structured, blocks: [text, ...pictures.blocks, ...links] };
}

/** The bytes that the largest other thing in a reply may take: what is left when its lists are as short as can be. */
export function roomBeside(reply: ExecutionReply): number {
  const asides = possibleNotices(reply.executionId, reply.result.outputs);
  return LIMITS.replyBytes - replyBytes(rendered(fields(reply), { links: 0, files: 0, texts: 0, charts: 0 }, asides));
}

/** What a reply would say now of an execution that is kept, without pictures. */
export function describeRecord(record: ExecutionReply["record"]): ExecutionFields | undefined {
  const { executionId, contextId, sandboxId, language, result } = record;
  return result === undefined ? undefined : fields({ executionId, contextId, sandboxId, language, result: result(), record });
}

/** Everything is shown where that fits; else links go first, then outputs' texts, then files, each from the end and no more of them than must. */
function whatFits(whole: ExecutionFields, asides: string[], bytesMax: number): Shown {
  const charts = mostThatFit(whole.outputs.length, (count) => chartBytes(whole.outputs.slice(0, count)) <= LIMITS.replyChartBytes);
  const all = { links: LIMITS.replyLinks, files: whole.files.length, texts: whole.outputs.length, charts };
  const isFit = (shown: Shown) => replyBytes(rendered(whole, shown, asides)) <= bytesMax;
  let shown: Shown = all;
  if (isFit(all)) return all;
  for (const list of ["links", "charts", "texts", "files", "texts", "charts", "links"] as const) {
    const rest = shown;
    shown = { ...shown, [list]: mostThatFit(all[list], (count) => isFit({ ...rest, [list]: count })) };
  }
  return shown;
}

/** The reply without its pictures. */
function rendered(whole: ExecutionFields, shown: Shown, asides: string[]): ToolReply<ExecutionFields> {
  const outputs = whole.outputs.map((output, index) => ({
    ...output,
    ...(index < shown.texts ? {} : { text: null, mime_types: [output.type] }),
    ...(index < shown.charts ? {} : { chart: null }),
  }));
  const withoutChart = whole.outputs.slice(shown.charts).filter((output) => output.chart !== null);
  const withoutText = whole.outputs.length - shown.texts;
  const withoutFile = whole.files.length - shown.files;
  const notices = [...whole.notices, ...asides];
  if (withoutText > 0)
    notices.push(`The texts of the last ${withoutText} outputs do not fit into this reply: read them with read_file at their uri.`);
  const [first] = withoutChart;
  if (first !== undefined)
    notices.push(
      `The data of the last ${withoutChart.length} charts do not fit into this reply: read_file with path "${first.uri}/${CHART_TYPE}" and so on.`,
    );
  if (withoutFile > 0) notices.push(`${withoutFile} more changed files do not fit into this reply: use list_directory.`);
  const structured = { ...whole, outputs, files: whole.files.slice(0, shown.files), notices };
  const all = links(structured);
  if (all.length > shown.links)
    notices.push(`${all.length - shown.links} links do not fit into this reply: use the uri of each output and file.`);
  return { structured, blocks: [{ type: "text", text: prose(structured) }, ...all.slice(0, shown.links)] };
}

/** What the charts take in both lanes. */
function chartBytes(outputs: ExecutionFields["outputs"]): number {
  const charts = outputs.map((output) => output.chart as Figure | null).filter((chart) => chart !== null);
  return charts.reduce((sum, chart) => sum + jsonBytes(chart) + Buffer.byteLength(chartText(chart)), 0);
}

function fields(reply: ExecutionReply): ExecutionFields {
  const { result } = reply;
  return {
    status: result.status,
    execution_id: reply.executionId,
    context_id: reply.contextId,
    sandbox_id: reply.sandboxId,
    language: reply.language,
    execution_count: result.executionCount,
    stdout: result.stdout.text.toWellFormed(),
    stderr: result.stderr.text.toWellFormed(),
    result: result.result?.toWellFormed() ?? null,
    result_json: result.resultJson ?? null,
    error: result.error === null ? null : wellFormedError(result.error),
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
    notices: [...nextSteps(reply), ...result.notices],
  };
}

/** Code that has not ended is nobody's call: what to do about it. */
function nextSteps({ executionId, result }: ExecutionReply): string[] {
  if (result.status !== "running" && result.status !== "queued") return [];
  const until = result.stopsAt === null ? "" : ` It is stopped at ${result.stopsAt} at the latest.`;
  return [
    `${result.status === "running" ? "The code goes on." : "The code has not begun."}${until} Wait for its end with get_execution, execution_id ${executionId} and wait_s ${LIMITS.waitSeconds}; stop it with cancel_execution.`,
  ];
}

function wellFormedError(error: NonNullable<ExecutionFields["error"]>): ExecutionFields["error"] {
  return { name: error.name.toWellFormed(), value: error.value.toWellFormed(), traceback: error.traceback.toWellFormed() };
}

function outputFields(executionId: string, output: Output): ExecutionFields["outputs"][number] {
  return {
    n: output.n,
    type: output.type,
    mime_types: output.mimeTypes,
    text: output.text?.toWellFormed() ?? null,
    uri: outputUri(executionId, output.n),
    width_px: output.widthPx,
    height_px: output.heightPx,
    size_bytes: output.sizeBytes,
    chart: output.chart,
  };
}

function truncations(reply: ExecutionReply): ExecutionFields["truncated"] {
  const streams: [field: "stdout" | "stderr", text: StreamText][] = [
    ["stdout", reply.result.stdout],
    ["stderr", reply.result.stderr],
  ];
  const cutStreams = streams
    .filter(([, text]) => text.leftOut > 0)
    .map(([field, text]) => ({
      field,
      shown_bytes: Buffer.byteLength(text.text),
      total_bytes: text.totalBytes,
      rest: streamUri(reply.executionId, field),
    }));
  const others = reply.result.cuts.map((cut) => ({
    field: cut.field,
    shown_bytes: cut.shownBytes,
    total_bytes: cut.totalBytes,
    rest: outputUri(reply.executionId, cut.output),
  }));
  return [...cutStreams, ...others];
}

function links(structured: ExecutionFields): Block[] {
  const outputs: Block[] = structured.outputs.map((output) => ({
    type: "link",
    uri: output.uri,
    name: `output ${output.n}`,
    mimeType: legible(output.type),
    sizeBytes: output.size_bytes,
  }));
  const files: Block[] = structured.files.map((file) => ({
    type: "link",
    uri: file.uri,
    name: legible(file.path.slice(file.path.lastIndexOf("/") + 1)),
    sizeBytes: file.size_bytes,
  }));
  return [...outputs, ...files].slice(0, LIMITS.replyLinks);
}
