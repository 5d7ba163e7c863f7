import { KernelboxError } from "../errors.ts";

/** The names of resources. Everything that a reply links to reads through `resources/read` and through `read_file`. */

export type ResourceAddress =
  | { kind: "file"; sandboxId: string; path: string }
  | { kind: "execution"; executionId: string }
  | { kind: "stream"; executionId: string; stream: "stdout" | "stderr" }
  | { kind: "output"; executionId: string; n: number; type?: string }
  | { kind: "process"; processId: string; stream: "stdout" | "stderr" }
  | { kind: "notebook"; contextId: string }
  /** A file by its id: one that is kept for the principal, or one in a sandbox. */
  | { kind: "identified"; fileId: string };

const SCHEME = "kernelbox://";
const FILE = /^kernelbox:\/\/sandboxes\/([A-Za-z0-9_-]{1,40})\/files(\/.*)?$/;
const EXECUTION =
  /^kernelbox:\/\/executions\/([A-Za-z0-9_-]{1,40})(?:\/(stdout|stderr)|\/outputs\/([1-9][0-9]{0,6})(?:\/([^/]{1,300}(?:\/|%2[Ff])[^/]{1,300}))?)?$/;
const PROCESS = /^kernelbox:\/\/processes\/([A-Za-z0-9_-]{1,40})\/(stdout|stderr)$/;
const NOTEBOOK = /^kernelbox:\/\/contexts\/([A-Za-z0-9_-]{1,40})\/notebook$/;

const IDENTIFIED = /^kernelbox:\/\/files\/(file_[A-Za-z0-9_-]{1,40})$/;

export function isResourceUri(text: string): boolean {
  return text.startsWith(SCHEME);
}

export function fileUri(sandboxId: string, path: string): string {
  return `${SCHEME}sandboxes/${sandboxId}/files${path.toWellFormed().split("/").map(encodeURIComponent).join("/")}`;
}

export function executionUri(executionId: string): string {
  return `${SCHEME}executions/${executionId}`;
}

export function streamUri(executionId: string, stream: "stdout" | "stderr"): string {
  return `${executionUri(executionId)}/${stream}`;
}

/** An output's richest form. Any of its forms is named by its media type behind that: `…/outputs/1/text/html`. */
export function outputUri(executionId: string, n: number): string {
  return `${executionUri(executionId)}/outputs/${n}`;
}

export function processStreamUri(processId: string, stream: "stdout" | "stderr"): string {
  return `${SCHEME}processes/${processId}/${stream}`;
}

export function notebookUri(contextId: string): string {
  return `${SCHEME}contexts/${contextId}/notebook`;
}

export function fileIdUri(fileId: string): string {
  return `${SCHEME}files/${fileId}`;
}

/** Undefined where it is not a name of ours. */
export function parseUri(uri: string): ResourceAddress | undefined {
  const file = FILE.exec(uri);
  if (file !== null) {
    const path = decoded(file[2] ?? "/home/user");
    return path === undefined ? undefined : { kind: "file", sandboxId: file[1] as string, path };
  }
  const identified = IDENTIFIED.exec(uri);
  if (identified !== null) return { kind: "identified", fileId: identified[1] as string };
  const process = PROCESS.exec(uri);
  if (process !== null) return { kind: "process", processId: process[1] as string, stream: process[2] as "stdout" | "stderr" };
  const notebook = NOTEBOOK.exec(uri);
  if (notebook !== null) return { kind: "notebook", contextId: notebook[1] as string };
  const execution = EXECUTION.exec(uri);
  if (execution === null) return undefined;
  const executionId = execution[1] as string;
  if (execution[2] !== undefined) return { kind: "stream", executionId, stream: execution[2] as "stdout" | "stderr" };
  if (execution[3] !== undefined) {
    const output = { kind: "output" as const, executionId, n: Number(execution[3]) };
    if (execution[4] === undefined) return output;
    const type = decoded(execution[4]);
    return type === undefined ? undefined : { ...output, type };
  }
  return { kind: "execution", executionId };
}

function decoded(part: string): string | undefined {
  try {
    return decodeURIComponent(part);
  } catch {
    return undefined;
  }
}

/**
 * The path that a call about a file means: models copy the URI of a file from a reply to where a path is asked for, so it is taken for that file.
 * Throws `invalid_argument` for any other URI.
 */
export function fileTarget<T extends { sandboxId?: string | undefined; path: string }>(target: T): T {
  if (!isResourceUri(target.path)) return target;
  const address = parseUri(target.path);
  if (address?.kind !== "file") {
    throw new KernelboxError(
      "invalid_argument",
      "The path is a URI, and not that of a file in a sandbox.",
      "Give a path like /home/user/data.csv, or the uri of a file from a reply. What an execution left is read with read_file.",
    );
  }
  if (target.sandboxId !== undefined && target.sandboxId !== address.sandboxId) {
    throw new KernelboxError("invalid_argument", "The URI names a file of another sandbox.", "Leave out sandbox_id: the URI says it.");
  }
  return { ...target, sandboxId: address.sandboxId, path: address.path };
}
