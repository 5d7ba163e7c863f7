/**
 * A name from a sandbox as prose may show it: quoted, and without anything that could break a line, hide or reorder what a reader sees. JSON's own
 * escapes end at U+001F; C1 controls, bidi and other format characters and the separators of lines and paragraphs are escaped here.
 */
export function quoted(name: string): string {
  return escaped(JSON.stringify(name));
}

/** The same without the quotes, for places that hold nothing but the name. */
export function legible(name: string): string {
  return quoted(name).slice(1, -1);
}

/** JSON, or text in its form, with what a reader cannot see escaped as JSON would escape it. */
export function escaped(json: string): string {
  return json.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (character) =>
    Array.from({ length: character.length }, (_, at) => `\\u${character.charCodeAt(at).toString(16).padStart(4, "0")}`).join(""),
  );
}
