import { CHART_TYPE } from "../../events/chart.ts";
import type { MimeBundle } from "../../events/event.ts";
import { VALUE_TYPE } from "../../events/fold.ts";
import { LIMITS } from "../../limits.ts";
import type { StoredEvent } from "../../store/event-log.ts";
import type { DisplayForms } from "./shared-displays.ts";
import type { Display, ShownDisplay } from "./shown-display.ts";

/** Forms that only our kernels give and only our replies tell. */
const OURS: ReadonlySet<string> = new Set([VALUE_TYPE, CHART_TYPE]);

/** An output as nbformat 4.5 has it. */
export type NotebookOutput =
  | { output_type: "stream"; name: "stdout" | "stderr"; text: string[] }
  | { output_type: "display_data"; data: Record<string, unknown>; metadata: Record<string, unknown> }
  | { output_type: "execute_result"; data: Record<string, unknown>; metadata: Record<string, unknown>; execution_count: number | null }
  | { output_type: "error"; ename: string; evalue: string; traceback: string[] };

type Event<T extends StoredEvent["type"]> = Extract<StoredEvent, { type: T }>;
type Entry = { kind: "stream"; name: "stdout" | "stderr"; text: string } | ShownDisplay | { kind: "error"; data: Event<"error">["data"] };

const JSON_TYPE = /^application\/(.*\+)?json$/;

/**
 * What a cell shows, from an execution's events as a notebook would take them: pieces of a stream joined, displays in the newest form that they were
 * given, and nothing from before the output was cleared. In bounded memory; what is left out is counted.
 */
export class CellOutputs {
  #entries: Entry[] = [];
  /** By the number of their stored output. */
  readonly #displays = new Map<number, ShownDisplay>();
  #clearAtNext = false;
  #heldBytes = 0;
  /** Of streams and errors. */
  #bytesLeftOut = 0;
  #gapEvents = 0;

  add(event: StoredEvent): void {
    switch (event.type) {
      case "stream":
        this.#clear();
        this.#addText(event);
        return;
      case "display_data":
      case "execute_result":
      case "update_display_data":
        this.#addDisplay(event);
        return;
      case "error":
        this.#clear();
        this.#addError(event.data);
        return;
      case "clear_output":
        this.#clearAtNext = true;
        if (!event.data.wait) this.#clear();
        return;
      case "gap":
        this.#gapEvents += event.data.events;
        return;
    }
  }

  /** What is missing, in words for a reader of the notebook. */
  missing(): string[] {
    const missing: string[] = [];
    if (this.#bytesLeftOut > 0) missing.push(`${this.#bytesLeftOut} bytes of its text, behind what is shown.`);
    if (this.#gapEvents > 0) missing.push(`${this.#gapEvents} events, which came faster than they were read.`);
    return missing;
  }

  /** With the forms of displays read; `count` is the cell's. Undefined where they are more than a notebook takes of one execution. */
  async outputs(
    read: (display: ShownDisplay) => Promise<DisplayForms | undefined>,
    count: number | null,
  ): Promise<NotebookOutput[] | undefined> {
    const outputs: NotebookOutput[] = [];
    let bytes = this.#heldBytes;
    for (const entry of this.#entries) {
      if (entry.kind === "stream") outputs.push({ output_type: "stream", name: entry.name, text: linesOf(entry.text) });
      else if (entry.kind === "error") outputs.push(errorOutput(entry.data));
      else {
        const { text, types, metadata = {} } = entry.event.data;
        const forms = text === undefined ? await read(entry) : { bundle: textBundle(types, text), isReplaced: false };
        if (forms === undefined) continue;
        const data = mimeData(forms.bundle);
        bytes += JSON.stringify(data).length;
        if (bytes > LIMITS.notebookCellBytes) return undefined;
        const shown = { data, metadata: forms.isReplaced ? {} : metadata };
        if (entry.shownAs === "display_data") outputs.push({ output_type: "display_data", ...shown });
        else outputs.push({ output_type: "execute_result", ...shown, execution_count: entry.event.data.execution_count ?? count });
      }
    }
    return outputs;
  }

  #clear(): void {
    if (!this.#clearAtNext) return;
    this.#clearAtNext = false;
    this.#entries = [];
    this.#displays.clear();
    this.#heldBytes = 0;
    this.#bytesLeftOut = 0;
  }

  #addText({ data: { name, text }, omittedBytes }: Event<"stream">): void {
    const bytes = Buffer.byteLength(text);
    this.#bytesLeftOut += omittedBytes;
    // Nothing is shown behind what is left out.
    if (this.#bytesLeftOut > omittedBytes || this.#heldBytes + bytes > LIMITS.notebookTextBytes) {
      this.#bytesLeftOut += bytes;
      return;
    }
    this.#heldBytes += bytes;
    const last = this.#entries.at(-1);
    if (last?.kind === "stream" && last.name === name) last.text += text;
    else if (text !== "") this.#entries.push({ kind: "stream", name, text });
  }

  #addError(data: Event<"error">["data"]): void {
    const bytes = Buffer.byteLength(JSON.stringify(data));
    if (this.#heldBytes + bytes > LIMITS.notebookTextBytes) this.#bytesLeftOut += bytes;
    else this.#entries.push({ kind: "error", data });
    this.#heldBytes = Math.min(this.#heldBytes + bytes, LIMITS.notebookTextBytes);
  }

  /** An update is shown where its display is; where that is none of this cell's, it is shown here. What it updates may be cleared already. */
  #addDisplay(event: Display): void {
    const isUpdate = event.type === "update_display_data";
    const shown = isUpdate && event.output !== null ? this.#displays.get(event.output) : undefined;
    if (shown !== undefined) {
      shown.event = event;
      return;
    }
    if (isUpdate && event.output === null) return;
    this.#clear();
    const display: ShownDisplay = {
      kind: "display",
      event,
      isUpdate,
      shownAs: event.type === "execute_result" ? "execute_result" : "display_data",
    };
    this.#entries.push(display);
    if (event.output !== null) this.#displays.set(event.output, display);
  }
}

/** A text as notebooks hold it: its lines with their ends. */
export function linesOf(text: string): string[] {
  return text.match(/[^\n]*\n|[^\n]+$/g) ?? [];
}

function errorOutput({ name, value, traceback }: Event<"error">["data"]): NotebookOutput {
  return { output_type: "error", ename: name, evalue: value, traceback };
}

function textBundle(types: string[], text: string): MimeBundle {
  return new Map([[types[0] ?? "text/plain", { text }]]);
}

/** Bytes as base64, JSON as JSON where its type says so; everything else is text. */
function mimeData(bundle: MimeBundle): Record<string, unknown> {
  const data: Record<string, unknown> = {};
  for (const [type, value] of bundle) {
    if (OURS.has(type) || "omittedBytes" in value) continue;
    if ("bytes" in value) data[type] = value.bytes.toString("base64");
    else if ("json" in value) data[type] = JSON_TYPE.test(type) ? value.json : linesOf(JSON.stringify(value.json) ?? "null");
    else data[type] = JSON_TYPE.test(type) ? value.text : linesOf(value.text);
  }
  return data;
}
