import { KernelboxError } from "../errors.ts";
import { legible } from "../files/quoted.ts";
import { cancelExecution } from "./cancel-execution.ts";
import { createContext } from "./create-context.ts";
import { nearest, type Tool } from "./define-tool.ts";
import { deleteContext } from "./delete-context.ts";
import { downloadFile } from "./download-file.ts";
import { executeCode } from "./execute-code.ts";
import { getContext } from "./get-context.ts";
import { getExecution } from "./get-execution.ts";
import { listContexts } from "./list-contexts.ts";
import { listDirectory } from "./list-directory.ts";
import { readFile } from "./read-file.ts";
import { restartContext } from "./restart-context.ts";
import { uploadFile } from "./upload-file.ts";
import { writeFile } from "./write-file.ts";

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
];

/** What a caller is told of a tool that is not there: the name that was probably meant, and all there are. */
export function unknownTool(name: string): KernelboxError {
  const names = TOOLS.map((tool) => tool.name);
  const meant = nearest(name.slice(0, 60), names);
  return new KernelboxError(
    "invalid_argument",
    `There is no tool ${legible(name.slice(0, 60))}.`,
    `${meant === undefined ? "" : `Did you mean ${meant}? `}Tools: ${names.join(", ")}.`,
  );
}
