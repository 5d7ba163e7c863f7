import { LIMITS } from "../limits.ts";
import { BoundedText, clip } from "./bounded-text.ts";
import { CHART_TYPE, chartOf } from "./chart.ts";
import type { ExecutionEvent, LossReason, MimeBundle, MimeValue } from "./event.ts";
import { exactly, parseExactly } from "./exact-json.ts";
import { type Death, earlierLossMessage, lossMessage } from "./loss-message.ts";
import { preferredType, readableText } from "./mime-preference.ts";
import { pictureSize } from "./picture-size.ts";
import type { ChangedFile, Cut, ExecutionResult, Output, State } from "./result.ts";
import { plainText, TerminalText } from "./terminal-text.ts";

/** Our kernel's own type for a last value that is JSON (sandbox/kernelbox/kernels). */
export const VALUE_TYPE = "application/vnd.kernelbox.value+json";

const YEAR_MS = 365 * 24 * 3_600_000;

interface StreamFold {
  terminal: TerminalText;
  bounded: BoundedText;
  bytes: number;
}

/** One display whose bytes somebody has to keep. */
export interface FoldedOutput {
  n: number;
  mime: MimeBundle;
}

/** Folds the events of one execution into its result, in bounded memory. Pictures are handed out, not kept. */
export class ExecutionFold {
  #status: ExecutionResult["status"] = "queued";
  readonly #stdout = newStream();
  readonly #stderr = newStream();
  #result: string | null = null;
  #resultJson: unknown = null;
  #error: ExecutionResult["error"] = null;
  readonly #cuts = new Map<Cut["field"], Cut>();
  #whole: FoldedOutput | undefined;
  #outputs: Output[] = [];
  #displayIds = new Map<string, number>();
  #nextOutput = 1;
  #clearAtNext = false;
  #firstOutput = 1;
  #outputsLeftOut = 0;
  #filesLeftOut = 0;
  readonly #gap = { events: 0, bytes: 0 };
  #hasLostVariables = false;
  #death: Death | undefined;
  readonly #files = new Map<string, ChangedFile>();
  #state: State;
  #executionCount: number | null = null;
  #startedAt: string | null = null;
  #stopsAt: string | null = null;
  #durationMs: number | null = null;
  readonly #notices: string[] = [];
  #noticesLeftOut = 0;
  /** Added to the supervisor's incarnations. */
  readonly incarnationOffset: number;

  /** The incarnation is the one that is known before the code runs. */
  constructor(incarnationOffset = 0, incarnation = 1 + incarnationOffset) {
    this.incarnationOffset = incarnationOffset;
    this.#state = { incarnation, variables: "kept", reason: null, message: null };
  }

  get isEnded(): boolean {
    return this.#durationMs !== null;
  }

  get status(): ExecutionResult["status"] {
    return this.#status;
  }

  get state(): State {
    return this.#state;
  }

  /** When it will be stopped; null before it runs and when it has ended. */
  get stopsAt(): string | null {
    return this.isEnded ? null : this.#stopsAt;
  }

  /** Whether this very execution cost the variables; a loss before it is only told with it. */
  get hasLostVariables(): boolean {
    return this.#hasLostVariables;
  }

  /** What is known of the loss that the supervisor told with this execution. */
  get death(): Death | undefined {
    return this.#death;
  }

  /** Outputs with lower numbers were cleared. */
  get firstOutput(): number {
    return this.#firstOutput;
  }

  /** Takes one event. Gives the output whose data is to be stored, where it brings one. */
  add(event: ExecutionEvent): FoldedOutput | undefined {
    switch (event.type) {
      case "stream":
        this.#clear();
        this.#addText(event.data.name, event.data.text);
        return undefined;
      case "display_data":
        return this.#addOutput(event.data.mime, event.data.display_id);
      case "update_display_data":
        return this.#updateOutput(event.data.mime, event.data.display_id);
      case "execute_result":
        return this.#addResult(event.data.mime);
      case "clear_output":
        if (event.data.wait) this.#clearAtNext = true;
        else this.#clear(true);
        return undefined;
      case "error":
        if (event.data.after_stop) return undefined;
        this.#addError(event.data);
        return undefined;
      case "file":
        this.#addFile({ path: event.data.path, change: event.data.change, sizeBytes: event.data.size_bytes });
        return undefined;
      case "gap":
        this.#gap.events += event.data.events;
        this.#gap.bytes += event.data.bytes;
        return undefined;
      case "status":
        this.#addStatus(event.data);
        return undefined;
    }
  }

  /** The whole of a text that the event just added brought and that is shown in part: to be stored like an output. */
  takeWhole(): FoldedOutput | undefined {
    const whole = this.#whole;
    this.#whole = undefined;
    return whole;
  }

  /** Ends the execution from outside: its sandbox is gone, say. */
  end(status: "died" | "cancelled", reason: LossReason, message: string): void {
    this.#status = status;
    this.#state = { ...this.#state, variables: "lost", reason, message };
    this.#hasLostVariables = true;
    this.#durationMs = this.#startedAt === null ? 0 : Math.max(0, Date.now() - Date.parse(this.#startedAt));
    if (status === "cancelled") this.#error = null;
  }

  note(notice: string): void {
    if (this.#notices.length < LIMITS.replyNotices) this.#notices.push(notice);
    else this.#noticesLeftOut++;
  }

  /** A loss that happened before this execution and that nobody was told of yet. */
  tellLoss(reason: LossReason, message: string): void {
    this.#state = { ...this.#state, variables: "lost", reason, message };
  }

  result(): ExecutionResult {
    const notices = [...this.#notices];
    if (this.#noticesLeftOut > 0) notices.push(`${this.#noticesLeftOut} more notices are left out.`);
    if (this.#gap.events > 0)
      notices.push(`${this.#gap.events} events (${this.#gap.bytes} bytes) are missing here: they came faster than they were read.`);
    if (this.#outputsLeftOut > 0)
      notices.push(`${this.#outputsLeftOut} more outputs are not listed; only the first ${LIMITS.replyOutputs} are.`);
    if (this.#filesLeftOut > 0) notices.push(`${this.#filesLeftOut} more changed files are not listed; use list_directory.`);
    return {
      status: this.#status,
      executionCount: this.#executionCount,
      stdout: streamText(this.#stdout),
      stderr: streamText(this.#stderr),
      result: this.#result,
      resultJson: this.#resultJson,
      error: this.#error,
      outputs: [...this.#outputs],
      files: [...this.#files.values()],
      state: this.#state,
      startedAt: this.#startedAt,
      durationMs: this.#durationMs ?? (this.#startedAt === null ? 0 : Math.max(0, Date.now() - Date.parse(this.#startedAt))),
      stopsAt: this.stopsAt,
      notices,
      cuts: [...this.#cuts.values()].filter((cut) => cut.field === "result" || this.#error !== null),
    };
  }

  #addText(name: "stdout" | "stderr", text: string): void {
    const stream = name === "stdout" ? this.#stdout : this.#stderr;
    stream.bytes += Buffer.byteLength(text);
    stream.bounded.push(stream.terminal.push(text));
  }

  #addResult(mime: MimeBundle): FoldedOutput | undefined {
    const value = mime.get("text/plain");
    const plain = textOf(value);
    this.#result = plain === null ? null : this.#shown("result", plain, LIMITS.replyTextCharacters, plain);
    if (value !== undefined && "omittedBytes" in value) {
      this.note(`The result's text has ${value.omittedBytes} bytes, too many to be kept: print a part of it, or write it to a file.`);
    }
    this.#resultJson = jsonOf(mime.get(VALUE_TYPE) ?? mime.get("application/json"));
    mime.delete(VALUE_TYPE);
    const isPlainOnly = [...mime.keys()].every((type) => type === "text/plain");
    return isPlainOnly ? undefined : this.#addOutput(mime, null);
  }

  #addError(error: { name: string; value: string; traceback: string[] }): void {
    const traceback = error.traceback.join("\n");
    const whole = `${error.name}: ${error.value}\n\n${traceback}`;
    this.#error = {
      name: clip(plainText(error.name), 200),
      value: this.#shown("error.value", error.value, LIMITS.replyErrorCharacters, whole),
      traceback: this.#shown("error.traceback", traceback, LIMITS.replyErrorCharacters, whole),
    };
  }

  /** A text as a reply shows it. Where that is a part of it, `whole` is to be stored under a number of its own. */
  #shown(field: Cut["field"], text: string, charactersMax: number, whole: string): string {
    const { text: shown, leftOut } = boundedPlain(text, charactersMax);
    this.#cuts.delete(field);
    if (leftOut === 0) return shown;
    this.#whole ??= { n: this.#nextOutput++, mime: new Map([["text/plain", { text: whole }]]) };
    const bytes = { shownBytes: Buffer.byteLength(shown), totalBytes: Buffer.byteLength(text) };
    this.#cuts.set(field, { field, ...bytes, output: this.#whole.n });
    return shown;
  }

  #addOutput(mime: MimeBundle, displayId: string | null | undefined): FoldedOutput | undefined {
    this.#clear();
    mime.delete(VALUE_TYPE);
    const n = this.#nextOutput++;
    if (displayId != null) this.#rememberDisplay(displayId, n);
    if (this.#outputs.length >= LIMITS.replyOutputs) this.#outputsLeftOut++;
    else this.#outputs.push(describe(n, mime));
    return { n, mime };
  }

  #updateOutput(mime: MimeBundle, displayId: string | null | undefined): FoldedOutput | undefined {
    const n = displayId == null ? undefined : this.#displayIds.get(displayId);
    if (n === undefined) return this.#addOutput(mime, displayId);
    mime.delete(VALUE_TYPE);
    if (n < this.#firstOutput) return undefined;
    this.#outputs = this.#outputs.map((output) => (output.n === n ? describe(n, mime) : output));
    return { n, mime };
  }

  /** The newest are remembered: as many as there are outputs whose data is kept. */
  #rememberDisplay(displayId: string, n: number): void {
    this.#displayIds.set(displayId, n);
    const [oldest] = this.#displayIds.keys();
    if (this.#displayIds.size > LIMITS.outputsKept && oldest !== undefined) this.#displayIds.delete(oldest);
  }

  #clear(now = false): void {
    if (!now && !this.#clearAtNext) return;
    this.#clearAtNext = false;
    this.#outputs = [];
    this.#outputsLeftOut = 0;
    this.#firstOutput = this.#nextOutput;
    for (const stream of [this.#stdout, this.#stderr]) Object.assign(stream, newStream());
  }

  #addFile(file: ChangedFile): void {
    const known = this.#files.get(file.path);
    if (known === undefined && this.#files.size >= LIMITS.replyFiles) this.#filesLeftOut++;
    else this.#files.set(file.path, known?.change === "created" ? { ...file, change: "created" } : file);
  }

  #addStatus(status: Extract<ExecutionEvent, { type: "status" }>["data"]): void {
    const incarnation = status.incarnation + this.incarnationOffset;
    if (status.state === "running") {
      this.#status = "running";
      this.#startedAt ??= new Date().toISOString();
      const stopsAt = Date.parse(status.stops_at ?? "");
      // A sandbox writes its times itself; no execution takes a year.
      this.#stopsAt = Math.abs(stopsAt - Date.now()) < YEAR_MS ? new Date(stopsAt).toISOString() : null;
      this.#state = { ...this.#state, incarnation };
      if (status.loss != null) {
        this.#death = status.loss;
        this.tellLoss(status.loss.reason, earlierLossMessage(status.loss));
      }
      return;
    }
    this.#status = status.state;
    this.#executionCount = status.execution_count ?? null;
    this.#durationMs = Math.round(status.duration_ms);
    this.#startedAt = status.started_at;
    for (const notice of status.notices) this.note(plainText(notice));
    if (status.state === "timeout" || status.state === "cancelled") this.#error = null;
    if (status.variables === "lost") {
      const reason = status.reason ?? "killed";
      this.#hasLostVariables = true;
      this.#death = { ...status, reason };
      this.#state = { incarnation, variables: "lost", reason, message: lossMessage(this.#death) };
    } else this.#state = { ...this.#state, incarnation };
  }
}

function newStream(): StreamFold {
  return { terminal: new TerminalText(), bounded: new BoundedText(LIMITS.replyTextCharacters), bytes: 0 };
}

function streamText(stream: StreamFold): ExecutionResult["stdout"] {
  return { ...stream.bounded.render(stream.terminal.pending), totalBytes: stream.bytes };
}

function boundedPlain(text: string, charactersMax: number): { text: string; leftOut: number } {
  const bounded = new BoundedText(charactersMax);
  bounded.push(plainText(text));
  return bounded.render();
}

function textOf(value: MimeValue | undefined): string | null {
  return value !== undefined && "text" in value ? value.text : null;
}

/** A value that is JSON and small enough to be told; our kernel's own type carries it as text. */
function jsonOf(value: MimeValue | undefined): unknown {
  if (value === undefined || mimeValueBytes(value) > LIMITS.replyResultJsonBytes) return null;
  if ("json" in value) return exactly(value.json) ?? null;
  return "text" in value ? (parseExactly(value.text) ?? null) : null;
}

function jsonBytes(json: unknown): number {
  try {
    return Buffer.byteLength(JSON.stringify(json) ?? "");
  } catch {
    // Nested deeper than JSON can be written; such a value is not kept, and nobody reads its size.
    return 0;
  }
}

export function mimeValueBytes(value: MimeValue): number {
  if ("bytes" in value) return value.bytes.length;
  if ("omittedBytes" in value) return value.omittedBytes;
  return "text" in value ? Buffer.byteLength(value.text) : jsonBytes(value.json);
}

function describe(n: number, mime: MimeBundle): Output {
  const type = preferredType(mime);
  const value = mime.get(type);
  const size = value !== undefined && "bytes" in value ? pictureSize(value.bytes) : undefined;
  const text = readableText(mime);
  return {
    n,
    type,
    mimeTypes: [...mime.keys()].filter((name) => name !== CHART_TYPE),
    text: text === null ? null : boundedPlain(text, LIMITS.replyOutputTextCharacters).text,
    widthPx: size?.widthPx ?? null,
    heightPx: size?.heightPx ?? null,
    sizeBytes: value === undefined ? 0 : mimeValueBytes(value),
    chart: chartOf(mime.get(CHART_TYPE)),
  };
}
