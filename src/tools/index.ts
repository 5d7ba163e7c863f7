import { cancelExecution } from "./cancel-execution.ts";
import { createContext } from "./create-context.ts";
import type { Tool } from "./define-tool.ts";
import { deleteContext } from "./delete-context.ts";
import { executeCode } from "./execute-code.ts";
import { getContext } from "./get-context.ts";
import { listContexts } from "./list-contexts.ts";
import { listDirectory } from "./list-directory.ts";
import { readFile } from "./read-file.ts";
import { restartContext } from "./restart-context.ts";
import { writeFile } from "./write-file.ts";

/** All tools, in the order in which hosts list them. */
export const TOOLS: readonly Tool[] = [
  executeCode,
  cancelExecution,
  createContext,
  listContexts,
  getContext,
  restartContext,
  deleteContext,
  readFile,
  writeFile,
  listDirectory,
];
