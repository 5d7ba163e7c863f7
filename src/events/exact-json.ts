import { LIMITS } from "../limits.ts";

/** JSON of a sandbox as a value that a reply can hold: unaltered, not too deep for the parsers of hosts, small also when it is written again. */

/** Parsers of other languages give up at a thousand; data for a reader is never near. */
const DEPTH_MAX = 100;
const STRINGS = /"(?:[^"\\]|\\.)*"/g;
const NUMBERS = /-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

/** Undefined where the text is no JSON, or its value would not be the same: an integer beyond 2^53 loses its last digits as a number. */
export function parseExactly(text: string): unknown {
  const numbers = text.replace(STRINGS, "").match(NUMBERS) ?? [];
  if (numbers.some((literal) => /^-?\d+$/.test(literal) && !Number.isSafeInteger(Number(literal)))) return undefined;
  try {
    return bounded(JSON.parse(text));
  } catch {
    return undefined;
  }
}

/** The same for what was parsed already: there a large integer may have been altered. */
export function exactly(value: unknown): unknown {
  return hasLargeInteger(value, DEPTH_MAX) ? undefined : bounded(value);
}

function bounded(value: unknown): unknown {
  if (isDeeper(value, DEPTH_MAX)) return undefined;
  return Buffer.byteLength(JSON.stringify(value) ?? "") > LIMITS.replyResultJsonBytes ? undefined : value;
}

function isDeeper(value: unknown, levels: number): boolean {
  if (typeof value !== "object" || value === null) return false;
  return levels === 0 || Object.values(value).some((inner) => isDeeper(inner, levels - 1));
}

function hasLargeInteger(value: unknown, levels: number): boolean {
  if (typeof value === "number") return Number.isInteger(value) && !Number.isSafeInteger(value);
  if (typeof value !== "object" || value === null || levels === 0) return false;
  return Object.values(value).some((inner) => hasLargeInteger(inner, levels - 1));
}
