/** Keeps the first and the last characters of a text that may be of any length. */
export class BoundedText {
  readonly #half: number;
  #head = "";
  #tail = "";
  #characters = 0;

  constructor(charactersMax: number) {
    this.#half = Math.floor(charactersMax / 2);
  }

  push(text: string): void {
    this.#characters += text.length;
    const room = this.#half - this.#head.length;
    this.#head += text.slice(0, Math.max(0, room));
    if (text.length <= room) return;
    this.#tail += text.slice(Math.max(0, room));
    // Cutting at twice the size keeps the work linear for many small texts.
    if (this.#tail.length > 2 * this.#half) this.#tail = this.#tail.slice(-this.#half);
  }

  /** The text, or its head and tail with a notice between them; `leftOut` counts characters. `more` stands behind all that was pushed. */
  render(more = ""): { text: string; leftOut: number } {
    const room = this.#half - this.#head.length;
    const head = this.#head + more.slice(0, room);
    const tail = this.#tail + more.slice(room);
    const all = this.#characters + more.length;
    if (all <= 2 * this.#half) return { text: head + tail, leftOut: 0 };
    const shown = [withoutHalfPair(head), wholeCharacters(tail.slice(-this.#half))] as const;
    const leftOut = all - shown[0].length - shown[1].length;
    return { text: `${shown[0]}\n[… ${leftOut} characters left out …]\n${shown[1]}`, leftOut };
  }
}

/** A cut must not leave half of a surrogate pair. */
function withoutHalfPair(text: string): string {
  const last = text.charCodeAt(text.length - 1);
  return last >= 0xd800 && last <= 0xdbff ? text.slice(0, -1) : text;
}

function wholeCharacters(text: string): string {
  const first = text.charCodeAt(0);
  return first >= 0xdc00 && first <= 0xdfff ? text.slice(1) : text;
}

/** The first characters of a text, with how many there were where some are left out. */
export function clip(text: string, charactersMax: number): string {
  return text.length <= charactersMax
    ? text
    : `${withoutHalfPair(text.slice(0, charactersMax))}\n[… ${text.length - charactersMax} characters left out …]`;
}
