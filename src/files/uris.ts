import { KernelboxError } from "../errors.ts";

/** The names of resources. Everything that a reply links to reads through `resources/read` and through `read_file`. */

export type ResourceAddress =
  | { kind: "file"; sandboxId: string; path: string }
  | { kind: "execution"; executionId: string }
  | { kind: "stream"; executionId: string; stream: "stdout" | "stderr" }
  | { kind: "output"; executionId: string; n: number }
  | { kind: "notebook"; contextId: string };

const SCHEME = "kernelbox://";
const FILE = /^kernelbox:\/\/sandboxes\/([A-Za-z0-9_-]{1,40})\/files(\/.*)?$/;
const EXECUTION = /^kernelbox:\/\/executions\/([A-Za-z0-9_-]{1,40})(?:\/(stdout|stderr)|\/outputs\/([1-9][0-9]{0,6}))?$/;
const NOTEBOOK = /^kernelbox:\/\/contexts\/([A-Za-z0-9_-]{1,40})\/notebook$/;

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

export function outputUri(executionId: string, n: number): string {
  return `${executionUri(executionId)}/outputs/${n}`;
}

export function notebookUri(contextId: string): string {
  return `${SCHEME}contexts/${contextId}/notebook`;
}

/** Undefined where it is not a name of ours. */
export function parseUri(uri: string): ResourceAddress | undefined {
  const file = FILE.exec(uri);
  if (file !== null) {
    try {
      return { kind: "file", sandboxId: file[1] as string, path: decodeURIComponent(file[2] ?? "/home/user") };
    } catch {
      return undefined;
    }
  }
  const notebook = NOTEBOOK.exec(uri);
  if (notebook !== null) return { kind: "notebook", contextId: notebook[1] as string };
  const execution = EXECUTION.exec(uri);
  if (execution === null) return undefined;
  const executionId = execution[1] as string;
  if (execution[2] !== undefined) return { kind: "stream", executionId, stream: execution[2] as "stdout" | "stderr" };
  if (execution[3] !== undefined) return { kind: "output", executionId, n: Number(execution[3]) };
  return { kind: "execution", executionId };
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
