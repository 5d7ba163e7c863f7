import { quoted } from "../events/quoted.ts";
import { fileUri, processStreamUri } from "../files/uris.ts";
import { LIMITS } from "../limits.ts";
import { shownText, textFrom } from "../processes/output-text.ts";
import type { ProcessReply } from "../processes/processes.ts";
import type { ToolReply } from "./define-tool.ts";
import { fenced } from "./fenced.ts";
import type { ProcessFields } from "./process-output.ts";
import { fits } from "./reply-size.ts";

/** Where a reader goes on in each stream; undefined for its beginning and end. */
export interface OutputOffsets {
  stdout?: number | undefined;
  stderr?: number | undefined;
}

export interface ProcessMore {
  stdout_next_offset: number;
  stderr_next_offset: number;
  matched: boolean | null;
  is_alive: boolean;
  usage: { memory_bytes: number; cpu_s: number; processes: number } | null;
}

const STREAMS = ["stdout", "stderr"] as const;

/** The same facts once as fields and once as prose. Less of the streams is shown where all would be too much for a reply. */
export async function processReply(reply: ProcessReply, offsets: OutputOffsets = {}): Promise<ToolReply<ProcessFields & ProcessMore>> {
  for (let bytesMax: number = LIMITS.processReadBytes; ; bytesMax = Math.floor(bytesMax / 2)) {
    const structured = await fields(reply, offsets, bytesMax);
    const told = { structured, blocks: [{ type: "text" as const, text: prose(structured, reply) }] };
    if (fits(told) || bytesMax < 1_000) return told;
  }
}

async function fields(reply: ProcessReply, offsets: OutputOffsets, bytesMax: number): Promise<ProcessFields & ProcessMore> {
  const { record, facts, usage } = reply;
  const texts = { stdout: "", stderr: "" };
  const next = { stdout: 0, stderr: 0 };
  const truncated: ProcessFields["truncated"] = [];
  for (const name of STREAMS) {
    const stream = record[name];
    const offset = offsets[name];
    if (offset !== undefined) {
      const from = await textFrom(stream, offset, bytesMax);
      texts[name] = from.text;
      next[name] = from.nextOffset;
      continue;
    }
    next[name] = stream.bytes;
    const shown = await shownText(stream);
    texts[name] = shown.text;
    if (shown.isWhole) continue;
    const total = stream.bytes + reply.lostBytes[name];
    truncated.push({ field: name, shown_bytes: shown.shownBytes, total_bytes: total, rest: processStreamUri(record.processId, name) });
  }
  return {
    process_id: record.processId,
    sandbox_id: record.sandboxId,
    status: statusOf(facts),
    exit_code: facts.exit_code,
    signal: facts.signal,
    ended_by: facts.reason,
    ...texts,
    files: facts.files.slice(0, LIMITS.replyFiles).map((file) => ({ ...file, uri: fileUri(record.sandboxId, file.path) })),
    truncated,
    started_at: facts.started_at,
    duration_ms: facts.duration_ms,
    stops_at: facts.is_running ? facts.stops_at : null,
    notices: notices(reply),
    stdout_next_offset: next.stdout,
    stderr_next_offset: next.stderr,
    matched: reply.hasMatched,
    is_alive: reply.isAlive,
    usage: usage === null ? null : { memory_bytes: usage.memoryBytes, cpu_s: usage.cpuSeconds, processes: usage.processes },
  };
}

function statusOf({ is_running, reason, exit_code }: ProcessReply["facts"]): ProcessFields["status"] {
  if (is_running) return "running";
  if (reason === "timeout") return "timeout";
  if (reason === "kill_process" || reason === "cancelled" || reason === "sandbox_lost") return "killed";
  return exit_code === null ? "killed" : "exited";
}

function notices(reply: ProcessReply): string[] {
  const { record, facts, isAlive, lostBytes } = reply;
  const id = record.processId;
  const told: string[] = reply.lossNotice === undefined ? [] : [reply.lossNotice];
  if (facts.is_running) {
    const until = facts.stops_at === null ? "" : ` until ${facts.stops_at} at the latest`;
    told.push(`It goes on${until}: get_process with process_id ${id} waits for it or for its output, kill_process ends it.`);
  } else if (isAlive)
    told.push(`The command has ended; something that it started still runs: kill_process with process_id ${id} ends that.`);
  if (facts.reason === "out_of_memory") {
    told.push("The sandbox's memory was used up, and the system killed what used most of it: do it in smaller parts.");
  }
  if (facts.reason === "limit_exceeded") {
    told.push("A limit of the sandbox was reached: the number of processes, the size of a file, or the room in /home/user or /tmp.");
  }
  if (facts.reason === "sandbox_lost") told.push("Its sandbox has ended, and the process with it.");
  for (const name of STREAMS) {
    if (lostBytes[name] > 0) told.push(`Of ${name} the first ${record[name].bytes} bytes are kept; ${lostBytes[name]} bytes more are not.`);
    if (record[name].failure !== undefined) told.push("The server could not write all of this to its disk: it may be full.");
  }
  if (facts.files.length > LIMITS.replyFiles)
    told.push(`${facts.files.length - LIMITS.replyFiles} more files changed: use list_directory.`);
  return [...told, ...facts.notices].slice(0, LIMITS.replyNotices);
}

function prose(reply: ProcessFields & ProcessMore, { record }: ProcessReply): string {
  const parts = [`${headline(reply)} (${reply.duration_ms} ms): ${quoted(record.command)}`];
  if (reply.matched !== null) parts.push(reply.matched ? "What was waited for came." : "What was waited for did not come.");
  for (const name of STREAMS) if (reply[name] !== "") parts.push(fenced(name, reply[name]));
  for (const file of reply.files) parts.push(`File ${file.change}: ${quoted(file.path)} (${file.size_bytes} bytes) ${file.uri}`);
  for (const cut of reply.truncated) {
    parts.push(`${cut.field} is shown in part (${cut.total_bytes} bytes in all); the rest: read_file with path "${cut.rest}".`);
  }
  parts.push(...reply.notices.map((notice) => `Note: ${notice}`), `process_id ${reply.process_id}`);
  return parts.join("\n");
}

function headline({ status, exit_code, signal, ended_by }: ProcessFields): string {
  if (status === "running") return "Still running";
  if (status === "timeout") return "Ended at its timeout";
  if (status === "exited") return `Exited with code ${exit_code}`;
  const by = ended_by === null || ended_by === "signal" ? "" : `, by ${ended_by}`;
  return `Killed${signal === null ? "" : ` with ${signal}`}${by}`;
}
