import { type ExecutionEvent, eventFromWire, wireEventSchema } from "../events/event.ts";
import { withoutDeepValues } from "../events/json-nesting.ts";

/** An `event` message: the length of its JSON, the JSON, its attachments' bytes. Undefined where it is not what the protocol says. */
export function decodeEventMessage(message: Buffer): ExecutionEvent | undefined {
  if (message.length < 4) return undefined;
  const jsonBytes = message.readUInt32BE(0);
  if (4 + jsonBytes > message.length) return undefined;
  let json: unknown;
  try {
    json = JSON.parse(withoutDeepValues(message.subarray(4, 4 + jsonBytes)).toString());
  } catch {
    return undefined;
  }
  const wire = wireEventSchema.safeParse(json);
  return wire.success ? eventFromWire(wire.data, message.subarray(4 + jsonBytes)) : undefined;
}
