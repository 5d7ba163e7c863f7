/**
 * Text of a terminal program, made plain as it comes: escape sequences (colours, links, clipboard writes) and control characters go, carriage
 * returns overwrite the line they are on, so that a progress bar leaves its last state, and bidi controls that could reorder what a reader sees go too.
 */

const LINE_CHARACTERS_MAX = 65_536;
const ESCAPE_CHARACTERS_MAX = 4_096;

// CSI; OSC, DCS, SOS, PM and APC up to their terminator; any other two-character escape (ECMA-48, section 5.3 and 5.4).
const ESCAPES =
  /\u001b\[[0-?]*[ -/]*[@-~]|\u001b[\]PX^_][^\u0007\u001b]*(?:\u0007|\u001b\\)|\u001b[ -/]*[0-Z\\-~]|\u009b[0-?]*[ -/]*[@-~]/g;
const UNFINISHED_ESCAPE = /\u001b(?:\[[0-?]*[ -/]*|[\]PX^_][^\u0007\u001b]*\u001b?|[ -/]*)$|\u009b[0-?]*[ -/]*$/;
const CONTROLS = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

export class TerminalText {
  #carry = "";
  #line = "";
  #column = 0;

  /** The lines that are complete now, each with its newline. */
  push(text: string): string {
    let input = this.#carry + text;
    this.#carry = "";
    const unfinished = UNFINISHED_ESCAPE.exec(input);
    if (unfinished !== null && input.length - unfinished.index <= ESCAPE_CHARACTERS_MAX) {
      this.#carry = input.slice(unfinished.index);
      input = input.slice(0, unfinished.index);
    }
    input = input.replace(ESCAPES, "").replace(CONTROLS, "");
    let complete = "";
    let from = 0;
    for (let at = input.indexOf("\n"); at !== -1; at = input.indexOf("\n", from)) {
      this.#overwrite(input.slice(from, at));
      complete += `${this.#line}\n`;
      this.#line = "";
      this.#column = 0;
      from = at + 1;
    }
    this.#overwrite(input.slice(from));
    if (this.#line.length > LINE_CHARACTERS_MAX) {
      complete += this.#line;
      this.#line = "";
      this.#column = 0;
    }
    return complete;
  }

  /** The line that is not complete yet. */
  get pending(): string {
    return this.#line;
  }

  /** Each text behind a carriage return lies over what stands at the line's beginning. Put together from the last: all is looked at once. */
  #overwrite(text: string): void {
    const [first = "", ...over] = text.split("\r");
    const under = this.#line.slice(0, this.#column) + first + this.#line.slice(this.#column + first.length);
    this.#column += first.length;
    if (over.length === 0) {
      this.#line = under;
      return;
    }
    this.#column = (over.at(-1) as string).length;
    let line = "";
    for (const layer of [under, ...over].reverse()) if (layer.length > line.length) line += layer.slice(line.length);
    this.#line = line;
  }
}

/** One whole text made plain. */
export function plainText(text: string): string {
  const folder = new TerminalText();
  return folder.push(text) + folder.pending;
}
