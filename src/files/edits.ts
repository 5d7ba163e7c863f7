import { KernelboxError } from "../errors.ts";
import { LIMITS } from "../limits.ts";

export interface Edit {
  oldText: string;
  newText: string;
  /** Every place, not just the only one. */
  replaceAll: boolean;
}

/**
 * The text after the edits, each made in what the one before it left. Every edit must find its text, and just once unless it replaces all: then nothing
 * else can have been meant. Line ends are taken as they are.
 */
export function edited(text: string, edits: readonly Edit[]): string {
  return edits.reduce(
    (before, edit, at) => applied(before, edit, edits.length === 1 ? "The edit" : `Edit ${at + 1} of ${edits.length}`),
    text,
  );
}

function applied(text: string, edit: Edit, which: string): string {
  const { oldText, newText, replaceAll } = edit;
  if (oldText === "") {
    throw refused(
      `${which} has no old_text.`,
      "Give the text to replace; to write a whole file use write_file, to add to its end write_file with append.",
    );
  }
  if (oldText === newText) throw refused(`${which} would change nothing: old_text and new_text are the same.`, "Leave it out.");
  const places = placesOf(text, oldText, replaceAll ? Number.POSITIVE_INFINITY : LIMITS.editPlaces);
  if (places.length === 0) throw missing(text, oldText, which);
  if (places.length > 1 && !replaceAll) throw ambiguous(text, places, which);
  const parts: string[] = [];
  let from = 0;
  for (const place of places) {
    parts.push(text.slice(from, place), newText);
    from = place + oldText.length;
  }
  parts.push(text.slice(from));
  const after = parts.join("");
  if (after.length <= LIMITS.editFileBytes) return after;
  throw new KernelboxError(
    "too_large",
    `${which} would make a text of ${after.length} characters; edit_file takes at most ${LIMITS.editFileBytes}.`,
    "Change such a file in code.",
  );
}

/** Where it stands, without overlaps; no more than one above the most that is asked for. */
function placesOf(text: string, wanted: string, most: number): number[] {
  const places: number[] = [];
  for (let at = text.indexOf(wanted); at !== -1 && places.length <= most; at = text.indexOf(wanted, at + wanted.length)) places.push(at);
  return places;
}

function ambiguous(text: string, places: number[], which: string): KernelboxError {
  const lines = places.slice(0, LIMITS.editPlaces).map((place) => lineAt(text, place));
  const count = places.length > LIMITS.editPlaces ? `more than ${LIMITS.editPlaces}` : String(places.length);
  return refused(
    `${which} is not clear: its old_text is there ${count} times, at lines ${lines.join(", ")}${places.length > lines.length ? ", …" : ""}.`,
    "Give more of the text around it, or set replace_all.",
  );
}

/** Nearly always it is the space around it, or the line ends, that are not as in the file. */
function missing(text: string, oldText: string, which: string): KernelboxError {
  const hint = "Read the file again, and give the text exactly as it stands there.";
  if (text.includes("\r\n") && !oldText.includes("\r\n") && text.replaceAll("\r\n", "\n").includes(oldText)) {
    return refused(
      `${which} found nothing: the file's lines end in CRLF (\\r\\n), those of old_text in LF.`,
      "Give \\r\\n in old_text and new_text.",
    );
  }
  const first = oldText
    .split("\n")
    .find((line) => line.trim() !== "")
    ?.trim();
  const alike = first === undefined ? [] : linesWith(text, first);
  if (alike.length === 0) return refused(`${which} found nothing: its old_text is not in the file.`, hint);
  const where = `${alike.length === 1 ? "line" : "lines"} ${alike.join(", ")}`;
  return refused(
    `${which} found nothing: its old_text is not in the file. Its first line stands at ${where}, so what differs lies around or behind it.`,
    hint,
  );
}

/** Numbers of the first lines that contain it. */
function linesWith(text: string, wanted: string): number[] {
  return placesOf(text, wanted, LIMITS.editPlaces)
    .slice(0, LIMITS.editPlaces)
    .map((place) => lineAt(text, place))
    .filter((line, at, lines) => line !== lines[at - 1]);
}

function lineAt(text: string, place: number): number {
  let line = 1;
  for (let at = text.indexOf("\n"); at !== -1 && at < place; at = text.indexOf("\n", at + 1)) line++;
  return line;
}

function refused(message: string, hint: string): KernelboxError {
  return new KernelboxError("invalid_argument", message, hint);
}
