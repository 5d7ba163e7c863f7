import type { ExecutionReply } from "../contexts/executions.ts";
import { clip } from "../events/bounded-text.ts";
import { escaped } from "../events/quoted.ts";
import { plainText } from "../events/terminal-text.ts";
import { outputUri, streamUri } from "../files/uris.ts";
import { LIMITS } from "../limits.ts";
import { jsonBytes } from "./reply-size.ts";

/** What an execution said, one thing at a time, as far as one reply holds it. */

type ExecutionRecord = ExecutionReply["record"];
type StoredEvent = ReturnType<ExecutionRecord["events"]> extends AsyncGenerator<infer E> ? E : never;
type Display = Extract<StoredEvent, { output: number | null }>;

/** What stands around the events: a heading, and the notice that there are more, once in each lane. */
const FORM_BYTES = 1_000;

export interface EventFields {
  seq: number;
  timestamp: string;
  type: string;
  data: Record<string, unknown>;
}

export interface EventsPage {
  events: EventFields[];
  /** Events up to this number are told. */
  lastEvent: number;
  /** The same for readers of text. */
  text: string | undefined;
  notice: string | undefined;
}

/** The first events behind a number: so many and as much as a reply has room for beside the rest, but one at least, so that a reader gets on. */
export async function eventsPage(record: ExecutionRecord, after: number, room: number): Promise<EventsPage> {
  const bytesMax = Math.min(room - FORM_BYTES, LIMITS.replyEventsBytes);
  const last = record.lastEvent;
  const events: EventFields[] = [];
  const lines: string[] = [];
  let bytes = 0;
  for await (const stored of record.events(after)) {
    const event = wellFormed({
      seq: stored.seq,
      timestamp: stored.timestamp,
      type: stored.type,
      data: await dataOf(record, stored),
    }) as EventFields;
    const line = lineOf(event);
    bytes += jsonBytes(event) + jsonBytes(line);
    const shown = events.at(-1)?.seq;
    if (shown !== undefined && (events.length === LIMITS.replyEvents || bytes > bytesMax)) return page(events, lines, shown, last);
    events.push(event);
    lines.push(line);
  }
  return page(events, lines, Math.max(last, events.at(-1)?.seq ?? 0), last);
}

function page(events: EventFields[], lines: string[], lastEvent: number, last: number): EventsPage {
  const notice =
    lastEvent < last ? `Events ${events[0]?.seq} to ${lastEvent} of ${last} are here: go on with after_event ${lastEvent}.` : undefined;
  return { events, lastEvent, text: lines.length === 0 ? undefined : `Events:\n${lines.join("\n")}`, notice };
}

/** A line that the event's text cannot break. */
function lineOf({ seq, timestamp, type, data }: EventFields): string {
  return `${seq} ${timestamp} ${type} ${escaped(JSON.stringify(mapStrings(data, plainText)))}`;
}

async function dataOf(record: ExecutionRecord, event: StoredEvent): Promise<Record<string, unknown>> {
  switch (event.type) {
    case "stream": {
      const { name, text, late } = event.data;
      const shown = text.slice(0, LIMITS.replyEventCharacters).toWellFormed();
      const isCut = shown.length < text.length;
      return {
        name,
        text: shown,
        ...(late ? { late } : {}),
        ...(isCut ? { rest: streamUri(record.executionId, name), rest_offset_bytes: event.offset + Buffer.byteLength(shown) } : {}),
        ...(event.omittedBytes > 0 ? { omitted_bytes: event.omittedBytes } : {}),
      };
    }
    case "display_data":
    case "update_display_data":
    case "execute_result":
      return await displayOf(record, event);
    case "error": {
      const traceback = event.data.traceback.join("\n");
      return {
        ...event.data,
        name: clip(event.data.name, 200),
        value: clip(event.data.value, LIMITS.replyEventCharacters),
        traceback: traceback.length > LIMITS.replyEventCharacters ? [clip(traceback, LIMITS.replyEventCharacters)] : event.data.traceback,
      };
    }
    case "status": {
      // Its notices are the reply's.
      return Object.fromEntries(Object.entries(event.data).filter(([name]) => name !== "notices"));
    }
    default:
      return event.data;
  }
}

/** Small texts and JSON as they came; for what is larger or bytes the uri of the output, and null where it is not kept (any more). */
async function displayOf(record: ExecutionRecord, event: Display): Promise<Record<string, unknown>> {
  const { types, text, metadata, ...data } = event.data;
  const mime: Record<string, unknown> = Object.fromEntries(types.map((type) => [type, null]));
  let room: number = LIMITS.replyEventCharacters;
  if (text !== undefined) mime[types[0] ?? "text/plain"] = clip(text, room);
  const output = event.output;
  for (const form of output === null ? [] : record.formsOf(output, event.seq)) {
    const isSmall = form.kind !== "bytes" && form.sizeBytes <= room;
    const stored = isSmall ? await record.readOutput(output as number, form.type) : undefined;
    mime[form.type] = stored === undefined ? outputUri(record.executionId, output as number) : valueOfForm(form.kind, stored.bytes);
    if (stored !== undefined) room -= form.sizeBytes;
  }
  return { mime, ...data, ...(metadata === undefined || jsonBytes(metadata) > room ? {} : { metadata }) };
}

function valueOfForm(kind: string, bytes: Buffer): unknown {
  return kind === "json" ? JSON.parse(bytes.toString()) : bytes.toString();
}

/** JSON with each of its texts, names of members too, made into another. */
function mapStrings(value: unknown, make: (text: string) => string): unknown {
  if (typeof value === "string") return make(value);
  if (Array.isArray(value)) return value.map((item) => mapStrings(item, make));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [make(name), mapStrings(item, make)]));
}

function wellFormed(value: unknown): unknown {
  return mapStrings(value, (text) => text.toWellFormed());
}
