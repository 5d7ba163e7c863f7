import { LIMITS } from "../../limits.ts";
import type { ExecutionRecords } from "../../store/execution-records.ts";
import type { Source } from "../source.ts";
import { notebookUri } from "../uris.ts";
import { type History, notebookPieces } from "./notebook.ts";

const TYPE = "application/x-ipynb+json";

export interface ListedNotebook {
  uri: string;
  contextId: string;
  language: string;
  mimeType: string;
}

/**
 * A context's history, made when it is read, from what is kept of its executions: so it is there as long as these are, also when the context is not.
 * Undefined where nothing is kept.
 */
export async function contextNotebook(records: ExecutionRecords, contextId: string, principal: string): Promise<Source | undefined> {
  const executions = records.ofContext(contextId, principal);
  const [first] = executions;
  if (first === undefined) return undefined;
  const history: History = { contextId, language: first.language, forgotten: records.forgotten(contextId), executions };
  const uri = notebookUri(contextId);
  // One that a single read can give is made once, so that it is the same from its size to its end.
  const made: string[] = [];
  let sizeBytes = 0;
  for await (const piece of notebookPieces(history)) {
    sizeBytes += Buffer.byteLength(piece);
    if (sizeBytes <= LIMITS.resourceBytes) made.push(piece);
  }
  const isWhole = sizeBytes <= LIMITS.resourceBytes;
  return {
    uri,
    sandboxId: first.sandboxId,
    path: uri,
    sizeBytes,
    mimeType: TYPE,
    fileId: null,
    modifiedAt: null,
    mode: null,
    stream: async (offset, limit, onData) => {
      const end = limit === undefined ? Number.POSITIVE_INFINITY : offset + limit;
      let at = 0;
      for await (const text of isWhole ? made : notebookPieces(history)) {
        const piece = Buffer.from(text);
        const shown = piece.subarray(Math.max(0, offset - at), Math.max(0, end - at));
        at += piece.length;
        if (shown.length > 0 && !onData(shown)) return;
        if (at >= end) return;
      }
    },
  };
}

/** The notebooks of the contexts that ran code last, at most so many. */
export function listNotebooks(records: ExecutionRecords, principal: string, limit: number): ListedNotebook[] {
  const languages = new Map<string, string>();
  for (const { contextId, language } of records.all(principal).reverse()) {
    if (languages.size === limit) break;
    languages.set(contextId, language);
  }
  return [...languages].map(([contextId, language]) => ({ uri: notebookUri(contextId), contextId, language, mimeType: TYPE }));
}
