import { KernelboxError } from "../errors.ts";
import { legible } from "../events/quoted.ts";
import { cancelExecution } from "./cancel-execution.ts";
import { createContext } from "./create-context.ts";
import { nearest, type Tool } from "./define-tool.ts";
import { deleteContext } from "./delete-context.ts";
import { downloadFile } from "./download-file.ts";
import { editFile } from "./edit-file.ts";
import { executeCode } from "./execute-code.ts";
import { getContext } from "./get-context.ts";
import { getExecution } from "./get-execution.ts";
import { getProcess } from "./get-process.ts";
import { installPackages } from "./install-packages.ts";
import { killProcess } from "./kill-process.ts";
import { listContexts } from "./list-contexts.ts";
import { listDirectory } from "./list-directory.ts";
import { listProcesses } from "./list-processes.ts";
import { makeDirectory } from "./make-directory.ts";
import { moveFile } from "./move-file.ts";
import type { Profile } from "./profiles.ts";
import { readFile } from "./read-file.ts";
import { removeFile } from "./remove-file.ts";
import { restartContext } from "./restart-context.ts";
import { runCommand } from "./run-command.ts";
import { searchFiles } from "./search-files.ts";
import { statFile } from "./stat-file.ts";
import { uploadFile } from "./upload-file.ts";
import { writeFile } from "./write-file.ts";
import { writeProcessInput } from "./write-process-input.ts";

/** All tools, in the order in which hosts list them. */
export const TOOLS: readonly Tool[] = [
  executeCode,
  getExecution,
  cancelExecution,
  createContext,
  listContexts,
  getContext,
  restartContext,
  deleteContext,
  readFile,
  writeFile,
  listDirectory,
  uploadFile,
  downloadFile,
  runCommand,
  getProcess,
  killProcess,
  editFile,
  statFile,
  makeDirectory,
  moveFile,
  removeFile,
  searchFiles,
  listProcesses,
  writeProcessInput,
  installPackages,
];

/** Those of the profiles, in the same order. */
export function toolsOf(profiles: readonly Profile[]): Tool[] {
  return TOOLS.filter((tool) => profiles.includes(tool.profile));
}

/** The tool of this name. Throws what a caller is told of one that is not there: the name that was probably meant, and all there are. */
export function findTool(name: string, profiles: readonly Profile[]): Tool {
  const known = TOOLS.find((tool) => tool.name === name);
  if (known !== undefined && profiles.includes(known.profile)) return known;
  if (known !== undefined) {
    throw new KernelboxError(
      "invalid_argument",
      `This server does not offer the tool ${known.name}.`,
      `Do it by code with execute_code, or have the server started with --tools ${[...profiles, known.profile].join(",")}.`,
    );
  }
  const names = toolsOf(profiles).map((tool) => tool.name);
  const meant = nearest(name.slice(0, 60), names);
  throw new KernelboxError(
    "invalid_argument",
    `There is no tool ${legible(name.slice(0, 60))}.`,
    `${meant === undefined ? "" : `Did you mean ${meant}? `}Tools: ${names.join(", ")}.`,
  );
}
