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
    const tail = this.#tail + more;
    const leftOut = Math.max(0, this.#characters + more.length - 2 * this.#half);
    if (leftOut === 0) return { text: this.#head + tail, leftOut };
    const shownTail = wholeCharacters(tail.slice(-this.#half));
    return { text: `${withoutHalfPair(this.#head)}\n[… ${leftOut} characters left out …]\n${shownTail}`, leftOut };
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
