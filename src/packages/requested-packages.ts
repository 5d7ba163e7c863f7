import { KernelboxError } from "../errors.ts";
import { quoted } from "../events/quoted.ts";
import { LIMITS } from "../limits.ts";

export const MANAGERS = ["pip", "npm"] as const;
export type Manager = (typeof MANAGERS)[number];

const PIP_NAME = "[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?";
const PIP_VERSION = String.raw`(?:===?|[<>~!]=|[<>])\s*[A-Za-z0-9](?:[A-Za-z0-9.+!_-]*)(?:\.\*)?`;
/** PEP 508 without its addresses and markers: a name, extras, and versions that fit. */
const PIP = new RegExp(
  String.raw`^${PIP_NAME}(?:\s*\[\s*${PIP_NAME}(?:\s*,\s*${PIP_NAME})*\s*\])?(?:\s*${PIP_VERSION}(?:\s*,\s*${PIP_VERSION})*)?$`,
);
/** What ends like an archive is a file for pip. The fetcher has the same list. */
const ARCHIVE = /\.(?:whl|zip|tar|tgz|tbz|txz|tlz|tar\.(?:gz|bz2|xz|lz|lzma))(?:\s*\[[^\]]*\])?$/i;
const NPM_PART = "[A-Za-z0-9~_][A-Za-z0-9~._-]*";
/** A version, a range in one word, or a tag. */
const NPM = new RegExp(String.raw`^(?:@${NPM_PART}/)?${NPM_PART}(?:@(?:[\^~]|[<>]=?|=)?[A-Za-z0-9*][A-Za-z0-9.*+-]*)?$`);

const FORMS: Readonly<Record<Manager, { pattern: RegExp; hint: string }>> = {
  pip: {
    pattern: PIP,
    hint: 'A package is a name with extras and versions where needed: "httpx", "httpx[http2]>=0.27,<1", "numpy==2.1.*".',
  },
  npm: {
    pattern: NPM,
    hint: 'A package is a name, with a version, range or tag where needed: "lodash", "@std/path@1.2.3", "zod@^4", "vite@next".',
  },
};

/** What is asked for, each once. Throws where one is anything but a name and its versions: no address, path, flag or marker gets further. */
export function requestedPackages(manager: Manager, packages: readonly string[]): string[] {
  const written = packages.map((each) => each.trim());
  // White space means nothing where the pattern has it.
  const asked = [...new Set(written.map((each) => each.replace(/\s/g, "")))];
  if (asked.length === 0) throw new KernelboxError("invalid_argument", "No package is named.", FORMS[manager].hint);
  if (asked.length > LIMITS.installPackages) {
    throw new KernelboxError(
      "too_large",
      `${asked.length} packages are named; one call takes at most ${LIMITS.installPackages}.`,
      "Install them in several calls.",
    );
  }
  const odd = written.find(
    (each) => each.length > LIMITS.installNameCharacters || !FORMS[manager].pattern.test(each) || each.includes(".."),
  );
  if (odd !== undefined) {
    throw new KernelboxError(
      "invalid_argument",
      `${quoted(odd.slice(0, 80))} is not the name of a package for ${manager}.`,
      `${FORMS[manager].hint} Addresses, paths, flags and markers are not taken.`,
    );
  }
  const file = manager === "pip" ? asked.find((each) => ARCHIVE.test(each)) : undefined;
  if (file !== undefined) {
    throw new KernelboxError("invalid_argument", `${quoted(file)} would be a file for pip, and files are not taken.`, FORMS[manager].hint);
  }
  return asked;
}

/** The name alone, as its manager compares names. */
export function plainName(manager: Manager, text: string): string {
  if (manager === "npm") return text.replace(/(?<=.)@.*$/, "");
  return (/^[A-Za-z0-9._-]+/.exec(text)?.[0] ?? "").replace(/[-_.]+/g, "-").toLowerCase();
}
