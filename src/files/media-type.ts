import mime from "mime";
import { pictureType } from "./picture-type.ts";
import { characterBoundary, textOf } from "./utf8.ts";

const UNKNOWN_TYPE = "application/octet-stream";
const TEXT = "text/plain";

/** Sources of programs, which the registered types do not know or take for something else (`.ts` for video, `.rs` for XML). */
const SOURCE_TYPES = new Map([
  ...suffixes("text/x-typescript", "ts mts cts tsx"),
  ...suffixes("text/x-python", "py pyi"),
  ...suffixes("text/x-go", "go"),
  ...suffixes("text/x-r", "r"),
  ...suffixes("text/x-rust", "rs"),
  ...suffixes("text/x-ruby", "rb"),
  ...suffixes("text/x-julia", "jl"),
  ...suffixes("text/x-kotlin", "kt kts"),
  ...suffixes("text/x-scala", "scala"),
  ...suffixes("text/x-swift", "swift"),
  ...suffixes("text/x-csharp", "cs"),
  ...suffixes("text/x-shellscript", "sh bash zsh"),
  ...suffixes("text/x-diff", "diff patch"),
  ...suffixes("text/x-makefile", "mk"),
  ...suffixes("text/x-rst", "rst"),
  ...suffixes("application/jsonl", "jsonl ndjson"),
]);
const NAMED_TYPES = new Map([
  ["makefile", "text/x-makefile"],
  ["dockerfile", "text/x-dockerfile"],
]);

/** The media type that a path's name tells. */
export function typeOfName(path: string): string {
  const name = path.slice(path.lastIndexOf("/") + 1).toLowerCase();
  const suffix = name.slice(name.lastIndexOf(".") + 1);
  return NAMED_TYPES.get(name) ?? (suffix === name ? undefined : SOURCE_TYPES.get(suffix)) ?? mime.getType(name) ?? UNKNOWN_TYPE;
}

/**
 * The type of what begins with this content. Hosts hand a picture on to a model's API, which refuses the whole conversation where it is none, so what
 * claims to be a picture is one by its signature or is not called one; and what nothing is known of may be text.
 */
export function typeOfContent(claimed: string, content: Buffer): string {
  const picture = pictureType(content);
  if (picture !== undefined) return picture;
  if (claimed !== UNKNOWN_TYPE && !isShownPicture(claimed)) return claimed;
  return textOf(content.subarray(0, characterBoundary(content))) === undefined ? UNKNOWN_TYPE : TEXT;
}

/** Types that hosts show as pictures, and that `pictureType` knows the signature of. */
export function isShownPicture(type: string): boolean {
  return type === "image/png" || type === "image/jpeg" || type === "image/gif" || type === "image/webp";
}

function suffixes(type: string, names: string): [suffix: string, type: string][] {
  return names.split(" ").map((name) => [name, type]);
}
