import mime from "mime";
import { characterBoundary, textOf } from "../events/utf8.ts";
import { LIMITS } from "../limits.ts";
import { pictureType } from "./picture-type.ts";

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
 * claims to be a picture is one by its signature or is not called one. The name knows better what a container such as a ZIP archive is for, and which
 * text this is; but bytes that begin as something else are not what the name says.
 */
export async function typeOfContent(claimed: string, content: Buffer): Promise<string> {
  const picture = pictureType(content);
  if (picture !== undefined) return picture;
  const head = content.subarray(0, LIMITS.mediaTypeBytes);
  const isText = textOf(head.subarray(0, characterBoundary(head))) !== undefined;
  // Loaded here: a server is there sooner without it.
  const { fileTypeFromBuffer, supportedMimeTypes } = await import("file-type");
  const found = await fileTypeFromBuffer(head).catch(() => undefined);
  // What the bytes say themselves, without its own form of a type that is registered under another name; undefined for what has no signature.
  const signed = found?.mime.split(";")[0];
  /** Whether files of the type begin with a signature, where it is known which. */
  const isBySignature = (type: string) => isShownPicture(type) || (supportedMimeTypes.has(type) && !MAY_BE_TEXT.test(type));
  if (isText && signed !== PDF) return claimed === UNKNOWN_TYPE || isBySignature(claimed) ? TEXT : claimed;
  if (signed === undefined || isWeak(signed, claimed)) return isBySignature(claimed) ? UNKNOWN_TYPE : claimed;
  if (signed === claimed) return claimed;
  return CONTAINERS.has(signed) && claimed !== UNKNOWN_TYPE && !claimed.startsWith("text/") && !claimed.startsWith("image/")
    ? claimed
    : signed;
}

const PDF = "application/pdf";
/** What other formats are made of. */
const CONTAINERS = new Set([
  "application/zip",
  "application/gzip",
  "application/x-cfb",
  "application/ogg",
  "video/mp4",
  "video/webm",
  "video/x-matroska",
]);

/** Two bytes make a bitmap, or a piece of sound: what is none by its name either is not called one. Those that hosts show have been told apart already. */
function isWeak(signed: string, claimed: string): boolean {
  const kind = signed.slice(0, signed.indexOf("/") + 1);
  return isShownPicture(signed) || ((kind === "image/" || kind === "audio/") && !claimed.startsWith(kind));
}

const MAY_BE_TEXT = /^text\/|xml|json|rtf|postscript|javascript|regedit|mpegurl/;

/** Types that hosts show as pictures, and that `pictureType` knows the signature of. */
export function isShownPicture(type: string): boolean {
  return type === "image/png" || type === "image/jpeg" || type === "image/gif" || type === "image/webp";
}

function suffixes(type: string, names: string): [suffix: string, type: string][] {
  return names.split(" ").map((name) => [name, type]);
}
