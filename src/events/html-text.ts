/** HTML of an output as text: tables by rows and cells, all else by its lines. For reading only; nothing is shown as HTML because of it. */

/** An output's text is bounded far below; a page of megabytes is not looked through for it. */
const CHARACTERS_MAX = 200_000;

const UNSEEN = /<!--[\s\S]*?(?:-->|$)|<(script|style|head|template)\b[\s\S]*?(?:<\/\1\s*>|$)/gi;
const CELL = /<t[dh]\b[^<>]*>/gi;
const LINE_END = /<(?:br|tr)\b[^<>]*>|<\/(?:tr|p|div|li|h[1-6]|caption|table|pre|dt|dd|section|blockquote)\s*>/gi;
const TAG = /<[^<>]*>/g;
const ENTITY = /&(?:#(\d{1,7})|#x([0-9a-f]{1,6})|(amp|lt|gt|quot|apos|nbsp));/gi;
const NAMED: Record<string, string> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: " " };

export function htmlText(html: string): string {
  const marked = html.slice(0, CHARACTERS_MAX).replace(UNSEEN, "").replace(/\s+/g, " ");
  const text = marked.replace(CELL, "\t").replace(LINE_END, "\n").replace(TAG, "").replace(ENTITY, character);
  const lines = text.split("\n").map((line) => {
    const [before = "", ...cells] = line.split("\t").map((cell) => cell.trim());
    if (before !== "") cells.unshift(before);
    return cells.slice(0, cells.findLastIndex((cell) => cell !== "") + 1).join(" | ");
  });
  return lines.filter((line) => line !== "").join("\n");
}

function character(_: string, decimal?: string, hex?: string, name?: string): string {
  if (name !== undefined) return NAMED[name.toLowerCase()] ?? "";
  const code = decimal === undefined ? Number.parseInt(hex ?? "0", 16) : Number(decimal);
  return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code).toWellFormed() : "";
}
