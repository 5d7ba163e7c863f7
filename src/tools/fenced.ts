/** A fence longer than any in the text, so that the text cannot end its own block. */
export function fenced(name: string, text: string): string {
  const longest = Math.max(2, ...[...text.matchAll(/`+/g)].map((run) => run[0].length));
  const fence = "`".repeat(longest + 1);
  return `${fence}${name}\n${text}${text.endsWith("\n") ? "" : "\n"}${fence}`;
}
