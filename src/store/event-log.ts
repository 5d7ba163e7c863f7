import type { ExecutionEvent } from "../events/event.ts";
import { LIMITS } from "../limits.ts";
import type { SpooledText } from "./spooled-text.ts";

type StreamName = "stdout" | "stderr";
type StreamEvent = Extract<ExecutionEvent, { type: "stream" }>;
type DisplayEvent = Extract<ExecutionEvent, { data: { mime: unknown } }>;
type PlainEvent = Exclude<ExecutionEvent, StreamEvent | DisplayEvent>;
type WithoutIds<E> = E extends PlainEvent ? Pick<E, "type" | "data"> : never;

/** A piece of a stream, as its place in the stream's full copy. */
interface StoredStream {
  type: "stream";
  data: { name: StreamName; text: string; late: boolean };
  offset: number;
  /** Bytes of it that the full copy does not have. */
  omittedBytes: number;
}

/** A display: its forms are in the stored output of this number, as long as no later event replaced or cleared them. */
interface StoredDisplay {
  type: DisplayEvent["type"];
  data: {
    types: string[];
    metadata?: Record<string, unknown> | undefined;
    display_id?: string | null | undefined;
    execution_count?: number | null | undefined;
    /** The form of a result that is text and nothing else: it is no output of its own. */
    text?: string | undefined;
  };
  output: number | null;
}

/** An event as it reads back. Only the sandbox's own data, never a name of ours: hostile as it came. */
export type StoredEvent = { seq: number; timestamp: string } & (StoredStream | StoredDisplay | WithoutIds<PlainEvent>);

/** One line of the log. A piece of a stream is `[seq, time, stream, offset, bytes, late]`, since there may be hundreds of thousands. */
type PieceLine = [seq: number, at: number, stream: 0 | 1, offset: number, bytes: number, late?: 1];
type Line = PieceLine | ({ seq: number; at: number } & (StoredDisplay | WithoutIds<PlainEvent>));

const STREAMS = ["stdout", "stderr"] as const;
/** Of so many lines the place of one is remembered. */
const LINES_A_MARK = 256;
const READ_BYTES = 64 * 1024;
/** So much text of streams is in memory while the events are read. */
const TEXT_BYTES = 256 * 1024;
const METADATA_BYTES = 16 * 1024;

/**
 * The numbered events of one execution, a line each, in order. Text of streams is not in it but in their full copies, and what displays hold is in the stored
 * outputs. Past its bound events are counted; pieces of streams reach theirs first, so that a program that prints all day does not cost its result.
 */
export class EventLog {
  readonly #lines: SpooledText;
  readonly #streams: Record<StreamName, SpooledText>;
  readonly #marks: { seq: number; offset: number }[] = [];
  #kept = 0;
  #seen = 0;
  #last = 0;
  #isBroken = false;

  constructor(lines: SpooledText, streams: Record<StreamName, SpooledText>) {
    this.#lines = lines;
    this.#streams = streams;
  }

  /** The number of the last event, kept or not. */
  get last(): number {
    return this.#last;
  }

  get bytes(): number {
    return this.#lines.bytes;
  }

  get failure(): unknown {
    return this.#lines.failure;
  }

  /** Events that came and are not kept. */
  get dropped(): number {
    return this.#seen - this.#kept;
  }

  /** Calls must not overlap. A stream's text must have been appended to its copy just before, an output put under its number. */
  async append(event: ExecutionEvent, output: number | null, offset: number): Promise<void> {
    await this.#append(event, output, offset);
    this.#seen++;
    // Not before its line is there for a reader.
    this.#last = Math.max(this.#last, event.seq);
  }

  async #append(event: ExecutionEvent, output: number | null, offset: number): Promise<void> {
    const line = `${JSON.stringify(lineOf(event, output, offset))}\n`;
    if (this.#isBroken) return;
    if (event.type === "stream" && this.#lines.bytes + line.length > LIMITS.eventLogStreamBytes) return;
    const at = this.#lines.bytes;
    await this.#lines.append(line);
    if (this.#lines.failure !== undefined) {
      // What waited in memory went with it, and nothing is kept behind it.
      this.#isBroken = true;
      this.#kept = await this.#count();
      return;
    }
    if (this.#lines.bytes === at) return;
    if (this.#kept % LINES_A_MARK === 0) this.#marks.push({ seq: event.seq, offset: at });
    this.#kept++;
  }

  /** The kept events behind that number, in order. What is appended meanwhile may or may not be among them. */
  async *read(after = 0): AsyncGenerator<StoredEvent> {
    let batch: Line[] = [];
    let textBytes = 0;
    for await (const line of this.#read(after)) {
      batch.push(line);
      if (Array.isArray(line)) textBytes += line[4];
      if (textBytes < TEXT_BYTES && batch.length < LINES_A_MARK) continue;
      yield* await this.#events(batch);
      batch = [];
      textBytes = 0;
    }
    yield* await this.#events(batch);
  }

  async *#read(after: number): AsyncGenerator<Line> {
    const end = this.#lines.bytes;
    let at = this.#marks.findLast((mark) => mark.seq <= after + 1)?.offset ?? 0;
    let rest = Buffer.alloc(0);
    while (at < end) {
      const piece = await this.#lines.read(at, Math.min(READ_BYTES, end - at));
      if (piece.length === 0) return;
      at += piece.length;
      const bytes = Buffer.concat([rest, piece]);
      const lastEnd = bytes.lastIndexOf("\n") + 1;
      rest = bytes.subarray(lastEnd);
      for (const text of bytes.subarray(0, lastEnd).toString().split("\n")) {
        if (text === "") continue;
        const line = JSON.parse(text) as Line;
        if (seqOf(line) > after) yield line;
      }
    }
  }

  /** With the text of their streams, of which each is read once for all of them. */
  async #events(lines: Line[]): Promise<StoredEvent[]> {
    const texts = new Map<0 | 1, { from: number; bytes: Buffer }>();
    for (const stream of [0, 1] as const) {
      const pieces = lines.filter((line): line is PieceLine => Array.isArray(line) && line[2] === stream);
      const from = pieces[0]?.[3];
      const last = pieces.at(-1);
      if (from === undefined || last === undefined) continue;
      texts.set(stream, { from, bytes: await this.#streams[STREAMS[stream]].read(from, last[3] + last[4] - from) });
    }
    return lines.map((line) => {
      if (!Array.isArray(line)) {
        const { seq, at, ...event } = line;
        return { seq, timestamp: new Date(at).toISOString(), ...event };
      }
      const [seq, at, stream, offset, bytes, late] = line;
      const text = texts.get(stream);
      const found = text?.bytes.subarray(offset - text.from, offset - text.from + bytes) ?? Buffer.alloc(0);
      return {
        seq,
        timestamp: new Date(at).toISOString(),
        type: "stream" as const,
        data: { name: STREAMS[stream], text: wholeText(found, bytes), late: late === 1 },
        offset,
        omittedBytes: bytes - found.length,
      };
    });
  }

  async #count(): Promise<number> {
    let count = 0;
    for await (const line of this.#read(0)) count += seqOf(line) > 0 ? 1 : 0;
    return count;
  }
}

function lineOf(event: ExecutionEvent, output: number | null, offset: number): Line {
  const head = { seq: event.seq, at: timeOf(event.timestamp) };
  switch (event.type) {
    case "stream": {
      const piece = [head.seq, head.at, event.data.name === "stdout" ? 0 : 1, offset, Buffer.byteLength(event.data.text)] as const;
      return event.data.late === true ? [...piece, 1] : [...piece];
    }
    case "display_data":
    case "update_display_data":
    case "execute_result": {
      const { mime, metadata, ...data } = event.data;
      const [form, ...others] = mime.values();
      const isText = event.type === "execute_result" && output === null && others.length === 0 && form !== undefined && "text" in form;
      return {
        ...head,
        type: event.type,
        data: {
          ...data,
          types: [...mime.keys()],
          ...(isSmall(metadata) ? { metadata } : {}),
          ...(isText ? { text: form.text } : {}),
        },
        output,
      };
    }
    default:
      return { ...head, type: event.type, data: event.data } as Line;
  }
}

function seqOf(line: Line): number {
  return Array.isArray(line) ? line[0] : line.seq;
}

/** A sandbox writes its times itself. */
function timeOf(timestamp: string): number {
  const at = Date.parse(timestamp);
  return Number.isNaN(at) || at < 0 || at > 8.64e15 ? Date.now() : at;
}

function isSmall(metadata: Record<string, unknown> | undefined): boolean {
  if (metadata === undefined || Object.keys(metadata).length === 0) return false;
  return Buffer.byteLength(JSON.stringify(metadata)) <= METADATA_BYTES;
}

/** The copy is cut at a byte, which may be in the middle of a character. */
function wholeText(found: Buffer, bytes: number): string {
  const text = found.toString();
  return found.length < bytes && text.endsWith("\ufffd") ? text.slice(0, -1) : text;
}
