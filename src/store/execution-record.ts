import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

import type { ExecutionEvent, MimeBundle, MimeValue } from "../events/event.ts";
import { preferredType } from "../events/mime-preference.ts";
import type { ExecutionResult } from "../events/result.ts";
import { LIMITS } from "../limits.ts";
import { EventLog, type StoredEvent } from "./event-log.ts";
import { SpooledText } from "./spooled-text.ts";

export interface RecordOwner {
  executionId: string;
  contextId: string;
  sandboxId: string;
  principal: string;
  language: string;
  /** The caller's own name for it within its context, and which code that was. */
  key?: { name: string; digest: string } | undefined;
}

/** What became of an execution, for calls that come after its end. */
export interface Outcome {
  status: string;
  variables: "kept" | "lost";
}

export interface StoredOutput {
  type: string;
  bytes: Buffer;
}

/** How a form came: what is JSON is stored as its text. */
export interface StoredForm {
  type: string;
  kind: "text" | "json" | "bytes";
  sizeBytes: number;
}

/** One file holds all forms of an output, the richest first. */
interface KeptOutput {
  forms: (StoredForm & { at: number })[];
  bytes: number;
  /** The number of the event that brought them. */
  seq: number;
}

/**
 * The full copy of what one execution said. Whatever the bounds or the disk do not allow is left out and counted, never thrown: the reply is worth
 * more than its copy.
 */
export class ExecutionRecord {
  readonly executionId: string;
  readonly contextId: string;
  readonly sandboxId: string;
  readonly principal: string;
  readonly language: string;
  readonly key: RecordOwner["key"];
  readonly stdout: SpooledText;
  readonly stderr: SpooledText;
  readonly #code: SpooledText;
  /** The number of the output that was shown last under each display id; the newest ids are remembered. */
  readonly displayIds = new Map<string, number>();
  readonly #events: EventLog;
  /** The events until now, folded. */
  result: (() => ExecutionResult) | undefined;
  #outcome: Outcome | undefined;
  #endedAt: number | undefined;
  readonly #dir: string;
  /** How many of so many bytes the records together have room for. */
  readonly #takeShared: (wanted: number) => number;
  readonly #giveBackShared: (bytes: number) => void;
  readonly #outputs = new Map<number, KeptOutput>();
  #bytes = 0;
  #dirMade: Promise<unknown> | undefined;
  #isRemoved = false;
  #omittedForms = 0;
  #failure: unknown;
  /** One change at a time, so that a removal finds nothing half written and what comes behind it finds it removed. */
  #work: Promise<unknown> = Promise.resolve();

  constructor(dir: string, owner: RecordOwner, shared: { take: (wanted: number) => number; giveBack: (bytes: number) => void }) {
    this.#dir = dir;
    this.#takeShared = shared.take;
    this.#giveBackShared = shared.giveBack;
    this.executionId = owner.executionId;
    this.contextId = owner.contextId;
    this.sandboxId = owner.sandboxId;
    this.principal = owner.principal;
    this.language = owner.language;
    this.key = owner.key;
    const makeDir = () => this.#makeDir();
    const giveBack = (bytes: number) => this.#giveBack(bytes);
    const budget = { take: (wanted: number) => this.#take(wanted, true), giveBack };
    this.stdout = new SpooledText(join(dir, "stdout"), makeDir, budget);
    this.stderr = new SpooledText(join(dir, "stderr"), makeDir, budget);
    this.#code = new SpooledText(join(dir, "code"), makeDir, { take: (wanted) => this.#take(wanted, false), giveBack });
    // A line of the log is kept whole or not at all.
    const lines = new SpooledText(join(dir, "events"), makeDir, { take: (wanted) => this.#takeLine(wanted), giveBack });
    this.#events = new EventLog(lines, this);
  }

  get outcome(): Outcome | undefined {
    return this.#outcome;
  }

  /** Says that the execution has ended: from now on others may need the room. */
  end(outcome: Outcome): void {
    this.#outcome ??= outcome;
    this.#endedAt ??= performance.now();
  }

  /** On a clock that never goes back; undefined while it runs. */
  get endedAt(): number | undefined {
    return this.#endedAt;
  }

  /** What the disk answered when something could not be kept. */
  get failure(): unknown {
    return this.#failure ?? this.stdout.failure ?? this.stderr.failure ?? this.#events.failure;
  }

  /** The number of the last event, 0 where none has come. */
  get lastEvent(): number {
    return this.#events.last;
  }

  /** Keeps what is run, as it is run. */
  async putCode(code: string): Promise<void> {
    await this.#exclusively(() => this.#code.append(code));
  }

  /** Undefined where it is not kept. */
  async readCode(): Promise<string | undefined> {
    await this.#work;
    const code = await this.#code.read(0, this.#code.bytes);
    return this.#isRemoved || this.#code.droppedBytes > 0 || code.length < this.#code.bytes ? undefined : code.toString();
  }

  /** Keeps one event, the text of a stream with it. What a display brought is put under its output's number before. */
  async append(event: ExecutionEvent, output: number | null = null): Promise<void> {
    await this.#exclusively(async () => {
      const text = event.type === "stream" ? this[event.data.name] : undefined;
      const offset = text?.bytes ?? 0;
      if (event.type === "stream") await text?.append(event.data.text);
      await this.#events.append(event, output, offset);
      if ("mime" in event.data && event.data.display_id != null && output !== null) this.#rememberDisplay(event.data.display_id, output);
    });
  }

  /** The events that are kept, in order, from behind that number; also while more come. */
  events(after = 0): AsyncGenerator<StoredEvent> {
    return this.#events.read(after);
  }

  async appendText(name: "stdout" | "stderr", text: string): Promise<void> {
    await this.#exclusively(() => this[name].append(text));
  }

  /** Keeps every form of one output, or replaces them. A form that the bounds have no room for is counted, not cut. `seq` is the event's that brings it. */
  async putOutput(n: number, mime: MimeBundle, seq = 0): Promise<void> {
    await this.#exclusively(() => this.#putOutput(n, mime, seq));
  }

  /** What was cleared is shown no more: it makes room for what comes. */
  async dropOutputsBefore(first: number): Promise<void> {
    const cleared = [...this.#outputs.keys()].filter((n) => n < first);
    if (cleared.length > 0) await this.#exclusively(() => Promise.all(cleared.map((n) => this.#dropOutput(n))));
  }

  /** One form of an output: the wanted type, else the richest. Undefined where it is not kept. */
  async readOutput(n: number, type?: string): Promise<StoredOutput | undefined> {
    const forms = this.#outputs.get(n)?.forms ?? [];
    const found = type === undefined ? forms[0] : forms.find((form) => form.type === type);
    if (found === undefined) return undefined;
    const whole = await readFile(this.#fileOf(n)).catch(() => undefined);
    // It may have been replaced or removed between the look and the read.
    if (whole === undefined || whole.length < found.at + found.sizeBytes) return undefined;
    return { type: found.type, bytes: whole.subarray(found.at, found.at + found.sizeBytes) };
  }

  /** Of those that are kept, in order. */
  get outputNumbers(): number[] {
    return [...this.#outputs.keys()].sort((a, b) => a - b);
  }

  /** The forms of an output that are kept, the richest first. None where a later event than `seq` replaced them, or where they were cleared. */
  formsOf(n: number, seq?: number): StoredForm[] {
    const kept = this.#outputs.get(n);
    if (kept === undefined || (seq !== undefined && kept.seq !== seq)) return [];
    return kept.forms.map(({ type, kind, sizeBytes }) => ({ type, kind, sizeBytes }));
  }

  /** Everything that is kept of an output, in the form in which it came. */
  async readBundle(n: number): Promise<MimeBundle> {
    const bundle: MimeBundle = new Map();
    for (const { type, kind } of this.formsOf(n)) {
      const form = await this.readOutput(n, type);
      if (form !== undefined) bundle.set(type, valueFrom(kind, form.bytes));
    }
    return bundle;
  }

  /** What is missing from the copy, in words of ours. */
  notices(): string[] {
    const notices = (["stdout", "stderr"] as const)
      .filter((name) => this[name].droppedBytes > 0)
      .map((name) => `Of ${name} the first ${this[name].bytes} bytes are kept; ${this[name].droppedBytes} bytes behind them are not.`);
    if (this.#omittedForms > 0) {
      notices.push(`${this.#omittedForms} forms of outputs (pictures, tables, data) are too large or too many and are not kept.`);
    }
    if (this.#events.dropped > 0) {
      notices.push(
        `${this.#events.dropped} of ${this.#events.last} events are not kept one by one; the texts of streams are kept apart from them.`,
      );
    }
    if (this.failure !== undefined) notices.push("The server could not write all of this to its disk: it may be full.");
    return notices;
  }

  async remove(): Promise<void> {
    if (this.#isRemoved) return;
    this.#giveBack(this.#bytes);
    this.#isRemoved = true;
    this.#outputs.clear();
    await this.#work;
    if (this.#dirMade !== undefined) await rm(this.#dir, { recursive: true, force: true }).catch(() => {});
  }

  async #exclusively(job: () => Promise<unknown>): Promise<void> {
    const done = this.#work.then(async () => {
      if (!this.#isRemoved) await job();
    });
    this.#work = done.catch((cause) => {
      this.#failure = cause;
    });
    await this.#work;
  }

  async #putOutput(n: number, mime: MimeBundle, seq: number): Promise<void> {
    await this.#dropOutput(n);
    const first = preferredType(mime);
    const kept: KeptOutput = { forms: [], bytes: 0, seq };
    const parts: Buffer[] = [];
    for (const [type, value] of [...mime].sort(([a], [b]) => Number(b === first) - Number(a === first))) {
      const bytes = this.#outputs.size < LIMITS.outputsKept ? bytesOf(value) : undefined;
      if (bytes === undefined || this.#take(bytes.length, false) < bytes.length) {
        this.#omittedForms++;
        continue;
      }
      kept.forms.push({
        type,
        kind: "bytes" in value ? "bytes" : "text" in value ? "text" : "json",
        at: kept.bytes,
        sizeBytes: bytes.length,
      });
      kept.bytes += bytes.length;
      parts.push(bytes);
    }
    if (parts.length === 0) return;
    try {
      await this.#makeDir();
      await writeFile(this.#fileOf(n), parts, { mode: 0o600 });
      this.#outputs.set(n, kept);
    } catch (cause) {
      this.#omittedForms += kept.forms.length;
      this.#giveBack(kept.bytes);
      // What a full disk took of it would keep the disk full.
      await rm(this.#fileOf(n), { force: true }).catch(() => {});
      throw cause;
    }
  }

  async #dropOutput(n: number): Promise<void> {
    const kept = this.#outputs.get(n);
    if (kept === undefined) return;
    this.#outputs.delete(n);
    this.#giveBack(kept.bytes);
    await rm(this.#fileOf(n), { force: true });
  }

  #rememberDisplay(id: string, output: number): void {
    this.displayIds.delete(id);
    this.displayIds.set(id, output);
    const [oldest] = this.displayIds.keys();
    if (this.displayIds.size > LIMITS.displayIdsKept && oldest !== undefined) this.displayIds.delete(oldest);
  }

  #fileOf(n: number): string {
    return join(this.#dir, `output-${n}`);
  }

  async #makeDir(): Promise<void> {
    this.#dirMade ??= mkdir(this.#dir, { recursive: true, mode: 0o700 });
    await this.#dirMade;
  }

  #takeLine(wanted: number): number {
    return this.#events.bytes + wanted > LIMITS.eventLogBytes ? 0 : this.#take(wanted, false, wanted);
  }

  /** The log of events has a bound of its own beside that of texts and outputs. */
  #take(wanted: number, partly: boolean, room = LIMITS.spoolBytesPerExecution - (this.#bytes - this.#events.bytes)): number {
    const own = Math.min(wanted, room);
    if (this.#isRemoved || (own < wanted && !partly)) return 0;
    const taken = this.#takeShared(own);
    // What comes late may itself be the oldest that makes room.
    if (this.#isRemoved || (taken < wanted && !partly)) {
      this.#giveBackShared(taken);
      return 0;
    }
    this.#bytes += taken;
    return taken;
  }

  #giveBack(bytes: number): void {
    if (this.#isRemoved) return;
    this.#bytes -= bytes;
    this.#giveBackShared(bytes);
  }
}

function valueFrom(kind: StoredForm["kind"], bytes: Buffer): MimeValue {
  if (kind === "bytes") return { bytes };
  return kind === "text" ? { text: bytes.toString() } : { json: JSON.parse(bytes.toString()) };
}

function bytesOf(value: MimeValue): Buffer | undefined {
  if ("bytes" in value) return value.bytes;
  if ("omittedBytes" in value) return undefined;
  return Buffer.from("text" in value ? value.text : (JSON.stringify(value.json) ?? "null"));
}
