import { LIMITS } from "../limits.ts";

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPENING = new Set([0x7b, 0x5b]);
const CLOSING = new Set([0x7d, 0x5d]);
/** A form of an output stands at this depth of an event: event, data, mime, value. */
const VALUE_DEPTH = 4;

/**
 * JSON of a sandbox without the values that are nested too deeply for anybody to write them again: `JSON.stringify` throws at some thousand levels,
 * wherever it is called first. In place of each stands how many bytes it had, as for a value that is too large. One pass, before anything is parsed.
 */
export function withoutDeepValues(json: Buffer): Buffer {
  const kept: Buffer[] = [];
  let keptTo = 0;
  let depth = 0;
  let valueAt = 0;
  let isDeep = false;
  for (let at = 0; at < json.length; at++) {
    const byte = json[at] as number;
    if (byte === QUOTE) at = endOfString(json, at);
    else if (OPENING.has(byte)) {
      depth++;
      if (depth === VALUE_DEPTH) valueAt = at;
      if (depth > LIMITS.jsonDepth) isDeep = true;
    } else if (CLOSING.has(byte)) {
      if (depth === VALUE_DEPTH && isDeep) {
        kept.push(json.subarray(keptTo, valueAt), Buffer.from(`{"$omitted":${at + 1 - valueAt}}`));
        keptTo = at + 1;
        isDeep = false;
      }
      depth--;
    }
  }
  // One that never closes is not JSON, and its parser must not be led down there either.
  if (isDeep) return Buffer.alloc(0);
  return keptTo === 0 ? json : Buffer.concat([...kept, json.subarray(keptTo)]);
}

/** The closing quote of the string that begins here; the end of the text where there is none. */
function endOfString(json: Buffer, from: number): number {
  for (let at = json.indexOf(QUOTE, from + 1); at !== -1; at = json.indexOf(QUOTE, at + 1)) {
    let escapes = 0;
    while (json[at - 1 - escapes] === BACKSLASH) escapes++;
    if (escapes % 2 === 0) return at;
  }
  return json.length;
}
