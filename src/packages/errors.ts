import { type ErrorCode, KernelboxError } from "../errors.ts";
import { LIMITS } from "../limits.ts";
import { allowsHost, type NetworkPolicy } from "../sandboxes/network-policy.ts";
import { type Manager, plainName } from "./requested-packages.ts";

interface Asked {
  manager: Manager;
  packages: readonly string[];
  network: NetworkPolicy;
}

type Words = [code: ErrorCode, message: string, hint: string];

/** Why packages could not be fetched, in words of ours. What an index said, names among it, is in the details. */
export function fetchError(said: { code: string; [fact: string]: unknown }, asked: Asked): KernelboxError {
  const { code, ...facts } = said;
  const [ours, message, hint] = ((Object.hasOwn(WORDS, code) ? WORDS[code] : undefined) ?? (() => FAILED))(facts, asked);
  return new KernelboxError(ours, message, hint, Object.keys(facts).length === 0 ? {} : { details: facts });
}

const FAILED: Words = [
  "internal",
  "The packages could not be fetched, and it is not known why.",
  "Try once more; if it happens again, report it with the server's log from stderr.",
];

const WORDS: Readonly<Record<string, (facts: Record<string, unknown>, asked: Asked) => Words>> = {
  not_found: (facts, asked) => [
    "not_found",
    `There is no package with the name of ${which(facts, asked)}.`,
    "Check its spelling; what is imported often has another name (cv2 is of opencv-python-headless, yaml of pyyaml).",
  ],
  no_version: (facts, asked) => [
    "not_found",
    `There is no version of ${which(facts, asked)} that fits.`,
    "Leave out the version for the newest; those that there are stand in the details where they are known.",
  ],
  no_wheel: (facts, asked) => [
    "unsupported",
    facts.only_source === true
      ? `There is only source of ${which(facts, asked)}, and a package is never built here, since that runs its code before anybody asked for it.`
      : `There is no wheel of ${which(facts, asked)} for this system (Linux, the image's Python).`,
    "Ask for another version that has wheels, or use another package.",
  ],
  invalid: (_facts, { manager }) => [
    "invalid_argument",
    `The fetcher takes one of these for no name of a package for ${manager}.`,
    "Give names with versions, nothing else.",
  ],
  by_address: () => [
    "unsupported",
    "One of the packages needs another by an address, and packages are taken from an index only, as wheels.",
    "Ask for another version, or use another package.",
  ],
  conflict: () => [
    "invalid_argument",
    "The packages exclude each other: no versions of them fit together.",
    "Loosen the versions; the details say which requirements exclude each other.",
  ],
  refused: ({ host }, { network }) =>
    typeof host === "string" && host !== "" && allowsHost(network, host)
      ? [
          "unsupported",
          "The network policy allows a host that packages come from, and it was refused all the same: its address is private, or it refuses access itself.",
          "The host is in the details. No flag opens private addresses; ask the user for an index with a public one, or to check the index settings.",
        ]
      : [
          "unsupported",
          "The network policy refused a host that packages come from.",
          "The host is in the details. Where it can be trusted, ask the user to start the server with --allow-host for it.",
        ],
  insecure: () => [
    "unsupported",
    "The index of packages has an address without TLS, from which pip takes nothing.",
    "Ask the user to set the index by an https address on the machine that runs the server.",
  ],
  network: () => ["busy", "The index of packages could not be reached.", "Try again later."],
  index: ({ status }) =>
    status === 401 || status === 403
      ? [
          "permission_denied",
          "The index of packages refused access.",
          "Ask the user to check the index settings of the machine that runs the server.",
        ]
      : ["busy", "The index of packages answered with an error.", "Try again later."],
  timeout: () => [
    "deadline_exceeded",
    "Fetching the packages took longer than timeout_s.",
    "Call again: what was fetched is kept. Give more timeout_s, or fewer packages.",
  ],
  too_large: ({ max_files }) => [
    "too_large",
    max_files === undefined
      ? `The packages are larger than ${LIMITS.installBytes} bytes together.`
      : "The packages consist of more files than are taken together.",
    "Install fewer at once, or smaller ones (the CPU build of a package, say).",
  ],
  too_many: () => ["too_large", `More than ${LIMITS.installFiles} packages would have to be installed.`, "Install fewer at once."],
  disk_full: () => [
    "limit_exceeded",
    "The disk that packages are fetched to is full.",
    "Ask the user to make room on the disk of the Docker engine.",
  ],
  unsupported: () => [
    "unsupported",
    "The image has no Deno, so no npm packages.",
    "Use pip, or ask the user to start the server with --image full.",
  ],
};

/** The name of a package that was asked for; of any other, which an index has told, nothing is said but that it is needed. */
function which({ name }: Record<string, unknown>, { manager, packages }: Asked): string {
  const found = packages.find((each) => typeof name === "string" && plainName(manager, each) === plainName(manager, name));
  return found === undefined ? "a package that one of these needs" : `"${found}"`;
}

/** The supervisor's refusals about packages. */
export function installError(thrown: unknown): KernelboxError {
  return inWords(thrown, INSTALL_ERRORS);
}

/** Those of looking for what is there, which changes nothing. */
export function lookError(thrown: unknown): KernelboxError {
  return inWords(thrown, { ...INSTALL_ERRORS, ...LOOK_ERRORS });
}

function inWords(thrown: unknown, all: SupervisorWords): KernelboxError {
  const error = KernelboxError.from(thrown);
  if (error.details?.sandbox_message === undefined) return error;
  const words = all[error.code];
  return words === undefined ? error : new KernelboxError(error.code, words[0], words[1], { cause: error, details: error.details });
}

type SupervisorWords = Partial<Record<ErrorCode, [message: string, hint: string]>>;

const INSTALL_ERRORS: SupervisorWords = {
  limit_exceeded: [
    "The sandbox has no room for these packages.",
    "Remove files that are not needed, or ask the user to start the server with more --workspace.",
  ],
  too_large: ["The packages have more files, or more bytes when unpacked, than are taken.", "Install fewer at once."],
  permission_denied: [
    "A folder in /home/user/.local cannot be written: a file or a link stands in its place, or its mode forbids it.",
    "Look at it with list_directory, and move away what is in the way.",
  ],
  invalid_argument: ["The packages are not named as they should be.", "Give names with versions, nothing else."],
  unsupported: ["What was fetched cannot be installed: it is damaged, or of a kind that is not known here.", "Ask for another version."],
  deadline_exceeded: ["Installing took longer than timeout_s; what was half there was taken back.", "Call again with more timeout_s."],
};

const LOOK_ERRORS: SupervisorWords = {
  deadline_exceeded: [
    "Looking for what is installed in the sandbox took too long; nothing was changed.",
    "Try again when less runs in the sandbox, or with fewer packages.",
  ],
};
