import * as z from "zod";
import { deathFacts, LOSS_REASONS, lossSchema } from "./loss-message.ts";

export { LOSS_REASONS, type Loss, type LossReason, lossSchema } from "./loss-message.ts";

/** What an execution says, one thing at a time: see "Events" in docs/channel-protocol.md. All of it comes from a sandbox and is hostile. */

const MIME_TYPES_MAX = 32;
/** What a media type is, as far as it may stand in a reply's prose (RFC 6838, without the rarer characters). */
const MIME_TYPE = /^[\w.+-]+\/[\w.+-]+(; *[\w.+=-]+)*$/;
const MIME_TYPE_CHARACTERS_MAX = 128;
const TRACEBACK_LINES_MAX = 1_000;

const attachmentSchema = z.object({ $attachment: z.tuple([z.number().int().nonnegative(), z.number().int().nonnegative()]) });
const omittedSchema = z.object({ $omitted: z.number().int().nonnegative() });

/** A MIME bundle's value: text, JSON, raw bytes, or the size of what was too large to send. */
export type MimeValue = { text: string } | { json: unknown } | { bytes: Buffer } | { omittedBytes: number };
export type MimeBundle = Map<string, MimeValue>;

const mimeSchema = z.record(z.string(), z.unknown()).refine((mime) => Object.keys(mime).length <= MIME_TYPES_MAX);
const metadataSchema = z.record(z.string(), z.unknown()).optional();
const display = z.object({ mime: mimeSchema, metadata: metadataSchema, display_id: z.string().max(256).nullish() });

export const STARTED = z.object({
  state: z.literal("running"),
  incarnation: z.number().int().positive(),
  loss: lossSchema.nullish(),
  stops_at: z.string().max(40).nullish(),
});
export const END_STATES = ["ok", "error", "timeout", "cancelled", "died"] as const;
export const ENDED = z.object({
  state: z.enum(END_STATES),
  incarnation: z.number().int().positive(),
  execution_count: z.number().int().nullish(),
  duration_ms: z.number().nonnegative(),
  started_at: z.string().max(40),
  variables: z.enum(["kept", "lost"]),
  reason: z.enum(LOSS_REASONS).nullish(),
  ...deathFacts,
  notices: z.array(z.string().max(1_000)).max(20).default([]),
});

const head = {
  execution_id: z.string().max(64),
  context_id: z.string().max(64),
  seq: z.number().int().positive(),
  timestamp: z.string().max(40),
};
export const wireEventSchema = z.discriminatedUnion("type", [
  z.object({ ...head, type: z.literal("status"), data: z.union([STARTED, ENDED]) }),
  z.object({
    ...head,
    type: z.literal("stream"),
    data: z.object({ name: z.enum(["stdout", "stderr"]), text: z.string().max(65_536), late: z.boolean().optional() }),
  }),
  z.object({ ...head, type: z.literal("display_data"), data: display }),
  z.object({ ...head, type: z.literal("update_display_data"), data: display }),
  z.object({ ...head, type: z.literal("execute_result"), data: display.extend({ execution_count: z.number().int().nullish() }) }),
  z.object({ ...head, type: z.literal("clear_output"), data: z.object({ wait: z.boolean() }) }),
  z.object({
    ...head,
    type: z.literal("error"),
    data: z.object({
      name: z.string(),
      value: z.string(),
      traceback: z.array(z.string()).max(TRACEBACK_LINES_MAX),
      after_stop: z.boolean().optional(),
    }),
  }),
  z.object({
    ...head,
    type: z.literal("file"),
    data: z.object({
      path: z.string().min(1).max(4_096),
      change: z.enum(["created", "modified"]),
      size_bytes: z.number().int().nonnegative(),
    }),
  }),
  z.object({
    ...head,
    type: z.literal("gap"),
    data: z.object({ events: z.number().int().nonnegative(), bytes: z.number().int().nonnegative() }),
  }),
]);
type WireEvent = z.infer<typeof wireEventSchema>;

type WithBundle<E> = E extends { data: { mime: Record<string, unknown> } }
  ? Omit<E, "data"> & { data: Omit<E["data"], "mime"> & { mime: MimeBundle } }
  : E;
export type ExecutionEvent = WithBundle<WireEvent>;

/** Puts the attachments' bytes in their places. Undefined where an attachment lies outside of what came. */
export function eventFromWire(wire: WireEvent, attachments: Buffer): ExecutionEvent | undefined {
  if (wire.type !== "display_data" && wire.type !== "update_display_data" && wire.type !== "execute_result") return wire;
  const mime: MimeBundle = new Map();
  for (const [name, value] of Object.entries(wire.data.mime)) {
    const type = mimeType(name);
    if (type !== name && mime.has(type)) continue;
    const attachment = attachmentSchema.safeParse(value);
    const omitted = omittedSchema.safeParse(value);
    if (attachment.success) {
      const [offset, length] = attachment.data.$attachment;
      if (offset + length > attachments.length) return undefined;
      mime.set(type, { bytes: attachments.subarray(offset, offset + length) });
    } else if (omitted.success) mime.set(type, { omittedBytes: omitted.data.$omitted });
    else if (typeof value === "string") mime.set(type, { text: value });
    else mime.set(type, { json: value });
  }
  return { ...wire, data: { ...wire.data, mime } } as ExecutionEvent;
}

/** The code chooses the names of its forms; what is no media type is only bytes of some kind. */
function mimeType(name: string): string {
  return name.length <= MIME_TYPE_CHARACTERS_MAX && MIME_TYPE.test(name) ? name : "application/octet-stream";
}
