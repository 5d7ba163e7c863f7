import type { LossReason } from "../../events/event.ts";
import { LOSS_CAUSES } from "../../events/fold.ts";
import { LIMITS } from "../../limits.ts";
import type { StoredEvent } from "../../store/event-log.ts";
import { executionUri } from "../uris.ts";
import { CellOutputs, linesOf, type NotebookOutput } from "./cell-outputs.ts";
import { kernelMetadata } from "./kernelspec.ts";
import { type Displays, SharedDisplays } from "./shared-displays.ts";

/** A context's history as a notebook, nbformat 4.5. */

/** An execution, as far as it is kept. */
export interface NotebookExecution extends Displays {
  executionId: string;
  /** As it was run; undefined where it is not kept. */
  readCode(): Promise<string | undefined>;
  events(): AsyncIterable<StoredEvent>;
  /** What is missing from what is kept. */
  notices(): string[];
}

export interface History {
  contextId: string;
  language: string;
  /** How many executions came before the first of these and are not kept any more. */
  forgotten: number;
  executions: NotebookExecution[];
}

type Status = Extract<StoredEvent, { type: "status" }>["data"];
type Begun = Extract<Status, { state: "running" }>;
type Ended = Exclude<Status, { state: "running" }>;

/** Room for what is said at the end. */
const RESERVE_BYTES = 4 * 1024;
/** What was stopped, or ended its kernel, does not end the same way when it is run again: nbclient leaves it out. */
const NOT_AGAIN = ["timeout", "cancelled", "died"];

/**
 * The notebook's text in pieces, a cell each. Its cells come last, so what is read of it in parts stays true while code is run: only its end grows.
 */
export async function* notebookPieces(history: History): AsyncGenerator<string> {
  const metadata = { ...kernelMetadata(history.language), kernelbox: { context_id: history.contextId } };
  yield `{\n"metadata": ${JSON.stringify(metadata, null, 1)},\n"nbformat": 4,\n"nbformat_minor": 5,\n"cells": [`;
  let room = LIMITS.notebookBytes - RESERVE_BYTES;
  let separator = "\n";
  for await (const cell of cells(history, () => room)) {
    const text = `${separator}${cell}`;
    separator = ",\n";
    room -= Buffer.byteLength(text);
    yield text;
  }
  yield "\n]\n}\n";
}

async function* cells(history: History, room: () => number): AsyncGenerator<string> {
  if (history.forgotten > 0) {
    const many = history.forgotten === 1 ? "1 earlier execution" : `${history.forgotten} earlier executions`;
    yield markdown(
      "earlier",
      `${many} of this context made room for later ones and are not in this notebook. What they defined may be missing below.`,
    );
  }
  const displays = new SharedDisplays(history.executions);
  let incarnation = history.forgotten > 0 ? undefined : 1;
  for (const [index, execution] of history.executions.entries()) {
    const { begun, ended, whole, bare, missing } = await read(execution, displays);
    if (begun !== undefined && incarnation !== undefined && begun.incarnation > incarnation) {
      yield lossMark(`${execution.executionId}-before`, begun.loss?.reason, begun.incarnation);
    }
    const fitting = [whole, bare].find((cell) => cell !== undefined && Buffer.byteLength(cell) <= room());
    if (fitting === undefined) {
      const left = history.executions.length - index;
      yield markdown(
        "later",
        `The notebook is full: the last ${left} executions of this context are not in it. Read each at kernelbox://executions/ and its id.`,
      );
      return;
    }
    yield fitting;
    const left = fitting === whole ? missing : [...missing, "All of its outputs."];
    if (left.length > 0) yield leftOutMark(execution.executionId, left);
    incarnation = ended?.incarnation ?? begun?.incarnation ?? incarnation;
    if (ended?.variables === "lost") yield lossMark(`${execution.executionId}-after`, ended.reason, ended.incarnation);
  }
}

interface ReadExecution {
  begun: Begun | undefined;
  ended: Ended | undefined;
  /** The cell, where it is not too large. */
  whole: string | undefined;
  /** Without its outputs. */
  bare: string;
  missing: string[];
}

async function read(execution: NotebookExecution, displays: SharedDisplays): Promise<ReadExecution> {
  const folded = new CellOutputs();
  let begun: Begun | undefined;
  let ended: Ended | undefined;
  for await (const event of execution.events()) {
    if (event.type !== "status") folded.add(event);
    else if (event.data.state === "running") begun = event.data;
    else ended = event.data;
  }
  const code = await execution.readCode();
  const missing = [...folded.missing(), ...execution.notices()];
  if (code === undefined) missing.unshift("Its code.");
  const facts = { execution, code: code ?? "", begun, ended };
  const outputs = await folded.outputs((display) => displays.read(execution, display), ended?.execution_count ?? null);
  const whole = outputs === undefined ? undefined : codeCell(facts, outputs);
  return { begun, ended, whole, bare: codeCell(facts, []), missing };
}

interface CellFacts {
  execution: NotebookExecution;
  code: string;
  begun: Begun | undefined;
  ended: Ended | undefined;
}

function codeCell({ execution, code, begun, ended }: CellFacts, outputs: NotebookOutput[]): string {
  const status = ended?.state ?? (begun === undefined ? "queued" : "running");
  const tags = status === "error" ? ["raises-exception"] : NOT_AGAIN.includes(status) ? ["skip-execution"] : [];
  return cell({
    cell_type: "code",
    id: execution.executionId,
    metadata: {
      ...(tags.length === 0 ? {} : { tags }),
      kernelbox: {
        execution_id: execution.executionId,
        status,
        incarnation: begun?.incarnation ?? ended?.incarnation ?? null,
        started_at: begun === undefined ? null : (ended?.started_at ?? null),
        duration_ms: ended === undefined ? null : Math.round(ended.duration_ms),
        variables: ended?.variables ?? null,
        reason: ended?.reason ?? null,
        notices: ended?.notices ?? [],
      },
    },
    execution_count: ended?.execution_count ?? null,
    source: linesOf(code),
    outputs,
  });
}

function lossMark(id: string, reason: LossReason | null | undefined, incarnation: number): string {
  const why = reason == null ? "" : `: ${LOSS_CAUSES[reason]}`;
  return markdown(id, `**All variables were lost here**${why}. What runs after it has a new kernel (incarnation ${incarnation}).`);
}

function leftOutMark(executionId: string, missing: string[]): string {
  const list = missing.map((what) => `- ${what}`).join("\n");
  return markdown(
    `${executionId}-left-out`,
    `Of the execution above this is not in the notebook:\n\n${list}\n\nWhat is kept of it: ${executionUri(executionId)}`,
  );
}

function markdown(id: string, text: string): string {
  return cell({ cell_type: "markdown", id, metadata: {}, source: linesOf(text) });
}

/** Half of a surrogate pair, which JSON writes as an escape, is no text that everything can read. */
function cell(content: Record<string, unknown>): string {
  const text = JSON.stringify(content, null, 1);
  return text.includes("\\ud") ? text.replace(/\\\\|\\ud[89a-f][0-9a-f]{2}/g, (found) => (found === "\\\\" ? found : "\ufffd")) : text;
}
