import type { MimeBundle } from "./event.ts";

/** What a host can show, richest first. */
const PREFERRED_TYPES = [
  "image/png",
  "image/jpeg",
  "image/gif",
  "image/webp",
  "image/svg+xml",
  "application/pdf",
  "text/html",
  "text/markdown",
];

/** The richest type of a bundle, by what hosts are likely to show. */
export function preferredType(mime: MimeBundle): string {
  const types = [...mime.keys()];
  const rich = types.find((type) => type !== "text/plain" && !type.startsWith("text/latex"));
  return PREFERRED_TYPES.find((type) => mime.has(type)) ?? rich ?? types[0] ?? "text/plain";
}
