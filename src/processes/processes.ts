import * as z from "zod";
import { KernelboxError } from "../errors.ts";
import { earlierSandboxLossNotice } from "../events/loss-message.ts";
import { newId } from "../ids.ts";
import { LIMITS } from "../limits.ts";
import { checkEnv } from "../sandboxes/environment.ts";
import { absolutePath, HOME } from "../sandboxes/paths.ts";
import type { Sandbox } from "../sandboxes/sandbox.ts";
import type { Sandboxes } from "../sandboxes/sandboxes.ts";
import { settledWithin } from "../sandboxes/settled-within.ts";
import type { ProcessRecord, ProcessRecords } from "../store/process-records.ts";
import { commandLine, type GivenCommand, givenArguments } from "./command.ts";
import { processError } from "./errors.ts";
import { type ENDERS, Process, type ProcessFacts, processSchema } from "./process.ts";
import { type WaitFor, Waiting } from "./waiting.ts";

export interface RunCommand extends GivenCommand {
  sandboxId?: string | undefined;
  cwd?: string | undefined;
  env?: Record<string, string> | undefined;
  stdin?: string | undefined;
  timeoutSeconds?: number | undefined;
  background?: boolean | undefined;
  terminal?: TerminalSize | undefined;
}

export interface TerminalSize {
  rows: number;
  columns: number;
}

/** A process as a caller names it; the sandbox is only checked. */
export interface ProcessHandle {
  processId: string;
  sandboxId?: string | undefined;
}

export interface ProcessInputRequest extends ProcessHandle {
  data: string;
  close: boolean;
  terminal?: TerminalSize | undefined;
}

/** Who waits, and how they are told what comes meanwhile. */
export interface Waiter {
  principal: string;
  signal?: AbortSignal | undefined;
  onOutput?: ((text: string) => void) | undefined;
}

export interface ProcessReply {
  record: ProcessRecord;
  /** What became of the sandbox before this one, where no execution's reply has said so yet. */
  lossNotice?: string | undefined;
  facts: ProcessFacts;
  lostBytes: { stdout: number; stderr: number };
  /** Something of it still runs, though the command may have ended. */
  isAlive: boolean;
  usage: { memoryBytes: number; cpuSeconds: number; processes: number } | null;
  /** Whether what was waited for came; null where nothing was. */
  hasMatched: boolean | null;
}

export interface ListedProcess {
  pid: number;
  parentPid: number;
  state: string;
  command: string;
  cpuSeconds: number;
  memoryBytes: number;
  startedAt: string;
  processId: string | null;
  /** Of the context whose kernel it is. */
  contextId: string | null;
}

const usageSchema = processSchema.extend({
  usage: z.object({
    memory_bytes: z.number().nonnegative(),
    cpu_s: z.number().nonnegative(),
    processes: z.number().int().nonnegative(),
  }),
});
const writtenSchema = processSchema.extend({
  written_bytes: z.number().int().nonnegative(),
  is_whole: z.boolean(),
  has_input: z.boolean(),
});
const listSchema = z.object({
  processes: z
    .array(
      z.object({
        pid: z.number().int(),
        parent_pid: z.number().int(),
        state: z.string().max(4),
        command: z.string().max(2 * LIMITS.commandCharacters),
        cpu_s: z.number().nonnegative(),
        memory_bytes: z.number().nonnegative(),
        started_at: z.string().max(40),
        process_id: z.string().max(40).nullable(),
        context_id: z.string().max(40).nullable(),
      }),
    )
    .max(1_000),
  more: z.number().int().nonnegative(),
});

/** Runs commands in sandboxes, waits for them, talks to them, and ends them. */
export class Processes {
  readonly #sandboxes: Sandboxes;
  readonly #records: ProcessRecords;
  readonly #softDeadlineMs: number;
  /** All whose output is kept, by their id. */
  readonly #processes = new Map<string, Process>();

  constructor(parts: { sandboxes: Sandboxes; records: ProcessRecords; softDeadlineMs: number }) {
    this.#sandboxes = parts.sandboxes;
    this.#records = parts.records;
    this.#softDeadlineMs = parts.softDeadlineMs;
  }

  /**
   * Runs the command and answers at its end, at the soft deadline, when it goes on, or at once in the background. Until then the caller's leaving
   * ends it, unless it is in the background.
   */
  async run(request: RunCommand, caller: Waiter): Promise<ProcessReply> {
    const answerAt = performance.now() + this.#softDeadlineMs;
    const process = await this.#start(request, caller);
    // An execution's reply tells it as well: it is about variables too.
    const lost = this.#sandboxes.untoldLoss(caller.principal)?.end;
    const lossNotice = lost === undefined ? undefined : earlierSandboxLossNotice(lost.message);
    if (request.background === true) return { ...(await this.#reply(process)), lossNotice };
    const stopListening = process.listen(caller.onOutput);
    try {
      await settledWithin(process.ended, answerAt - performance.now(), caller.signal);
    } finally {
      stopListening();
    }
    if (caller.signal?.aborted) {
      if (process.isRunning) void this.#kill(process, "TERM", LIMITS.killGraceSeconds.default, "cancelled").catch(() => {});
      throw KernelboxError.cancelled(caller.signal.reason);
    }
    return { ...(await this.#reply(process)), lossNotice };
  }

  /** How it stands now, or at its end, or when what is waited for has come, whichever is first. */
  async get(handle: ProcessHandle, waitMs: number, waitFor: WaitFor | undefined, caller: Waiter): Promise<ProcessReply> {
    const process = this.#find(handle, caller.principal);
    const waiting = waitFor === undefined ? undefined : new Waiting(process, waitFor);
    const stopListening = process.listen(caller.onOutput);
    let hasMatched: boolean | null = null;
    try {
      if (waiting === undefined) await settledWithin(process.ended, waitMs, caller.signal);
      else hasMatched = await waiting.wait(waitMs, caller.signal);
    } finally {
      stopListening();
    }
    if (caller.signal?.aborted) throw KernelboxError.cancelled(caller.signal.reason);
    return { ...(await this.#reply(process, true)), hasMatched };
  }

  /** How many bytes went to its stdin. Throws where not all did: how many is in the details. */
  async write(request: ProcessInputRequest, caller: Waiter): Promise<number> {
    const process = this.#find(request, caller.principal);
    if (!process.isRunning) throw hasEnded();
    const params = { process_id: request.processId, close: request.close, ...terminalParams(request.terminal) };
    const body = request.data === "" ? [] : [Buffer.from(request.data)];
    const written = await this.#ask(process, "process.write", params, writtenSchema, { body, signal: caller.signal });
    if (written.is_whole) return written.written_bytes;
    const details = { written_bytes: written.written_bytes };
    if (!written.is_running) throw hasEnded(details);
    if (!written.has_input) {
      throw new KernelboxError(
        "invalid_argument",
        "The process has no open stdin.",
        "Only what run_command started in the background or with pty has one, until it is closed.",
        { details },
      );
    }
    throw new KernelboxError(
      "busy",
      `The process does not read its stdin: ${written.written_bytes} bytes went there.`,
      "Write the rest later.",
      {
        details,
      },
    );
  }

  /** Sends a signal to the process and all that it started, and kills after the grace what is still there. */
  async kill(handle: ProcessHandle, signal: string, graceSeconds: number, caller: Waiter): Promise<ProcessReply> {
    const process = this.#find(handle, caller.principal);
    if (!process.isOver) await this.#kill(process, signal, graceSeconds, "kill_process");
    // What it said last is on its way.
    if (ENDING.has(signal)) await settledWithin(process.over, LIMITS.processOverMs, caller.signal);
    return await this.#reply(process);
  }

  /** Those whose output is kept, the newest first. */
  ids(principal: string): string[] {
    return this.#records.ids(principal);
  }

  /** All that runs in a sandbox, by pid, and how many more there are. */
  async list(sandboxId: string | undefined, caller: Waiter): Promise<{ processes: ListedProcess[]; more: number }> {
    const { principal, signal } = caller;
    const sandbox = sandboxId === undefined ? await this.#sandboxes.existingDefault(principal) : this.#sandboxes.get(sandboxId, principal);
    if (sandbox === undefined) return { processes: [], more: 0 };
    const { processes, more } = await sandbox.request("process.list", {}, listSchema, { signal });
    const listed = processes.map((each) => ({
      pid: each.pid,
      parentPid: each.parent_pid,
      state: each.state,
      command: each.command,
      cpuSeconds: each.cpu_s,
      memoryBytes: each.memory_bytes,
      startedAt: each.started_at,
      processId: each.process_id !== null && this.#processes.has(each.process_id) ? each.process_id : null,
      contextId: each.context_id,
    }));
    return { processes: listed, more };
  }

  async #start(request: RunCommand, caller: Waiter): Promise<Process> {
    const argv = givenArguments(request);
    checkEnv(request.env);
    const stdin = request.stdin === undefined ? undefined : Buffer.from(request.stdin);
    if (stdin !== undefined && stdin.length > LIMITS.commandStdinBytes) {
      throw new KernelboxError(
        "too_large",
        `stdin has ${stdin.length} bytes; at most ${LIMITS.commandStdinBytes} are taken.`,
        "Write it to a file with write_file, and give that to the command.",
      );
    }
    const cwd = request.cwd === undefined ? HOME : absolutePath(request.cwd);
    const sandbox = await this.#sandboxOf(request.sandboxId, caller);
    const isBackground = request.background === true;
    const processId = newId("prc");
    const timeout = request.timeoutSeconds ?? (isBackground ? undefined : LIMITS.timeoutSeconds.default);
    const params = {
      process_id: processId,
      argv,
      cwd,
      env: request.env ?? {},
      has_input: stdin !== undefined || isBackground,
      ...(timeout === undefined ? {} : { timeout_s: timeout }),
      ...terminalParams(request.terminal),
    };
    const facts = await sandbox.request("process.start", params, processSchema, { signal: caller.signal }).catch((error) => {
      // Its answer may have been on its way to a caller who had left, and nobody would ever end it.
      if (caller.signal?.aborted)
        void sandbox.request("process.kill", { process_id: processId, signal: "KILL" }, processSchema).catch(() => {});
      throw processError(error, argv[0] as string);
    });
    const record = this.#records.open({
      processId,
      sandboxId: sandbox.sandboxId,
      principal: caller.principal,
      command: commandLine(request),
    });
    const process = new Process(sandbox, record, facts, () => this.#records.end(processId));
    this.#processes.set(processId, process);
    // What made room in the store is not known any more.
    for (const [known, { record }] of this.#processes)
      if (this.#records.find(known, record.principal) === undefined) this.#processes.delete(known);
    if (stdin !== undefined) {
      const body = stdin.length === 0 ? [] : [stdin];
      // A command need not read all of it, or any.
      void this.#ask(process, "process.write", { process_id: processId, close: true }, writtenSchema, { body }).catch(() => {});
    }
    return process;
  }

  async #sandboxOf(sandboxId: string | undefined, { principal, signal }: Waiter): Promise<Sandbox> {
    return sandboxId === undefined ? await this.#sandboxes.default(principal, "make", signal) : this.#sandboxes.get(sandboxId, principal);
  }

  async #kill(process: Process, signal: string, graceSeconds: number, why: (typeof ENDERS)[number]): Promise<void> {
    const params = { process_id: process.record.processId, signal, grace_s: graceSeconds, why };
    await this.#ask(process, "process.kill", params, processSchema, { deadlineMs: graceSeconds * 1_000 + LIMITS.requestMs });
  }

  async #ask<T>(
    process: Process,
    method: string,
    params: Record<string, unknown>,
    schema: z.ZodType<T>,
    call: Parameters<Sandbox["request"]>[3],
  ) {
    return await process.sandbox.request(method, params, schema, call).catch((error) => {
      throw processError(error, "");
    });
  }

  async #reply(process: Process, withUsage = false): Promise<ProcessReply> {
    const usage = withUsage && !process.isOver ? await this.#usage(process) : null;
    return {
      record: process.record,
      facts: process.facts,
      lostBytes: { stdout: process.lostBytes("stdout"), stderr: process.lostBytes("stderr") },
      isAlive: process.isRunning || (!process.isOver && process.facts.has_left),
      usage,
      hasMatched: null,
    };
  }

  /** Null where it has just ended. */
  async #usage(process: Process): Promise<ProcessReply["usage"]> {
    try {
      const { usage } = await this.#ask(process, "process.get", { process_id: process.record.processId }, usageSchema, {});
      return { memoryBytes: usage.memory_bytes, cpuSeconds: usage.cpu_s, processes: usage.processes };
    } catch {
      return null;
    }
  }

  #find({ processId, sandboxId }: ProcessHandle, principal: string): Process {
    const process = this.#processes.get(processId);
    if (process === undefined || this.#records.find(processId, principal) === undefined) {
      throw new KernelboxError(
        "not_found",
        "There is no process with this id.",
        `Use a process_id from run_command or list_processes; of those that ended the last ${LIMITS.processesKept} are kept.`,
      );
    }
    if (sandboxId !== undefined && sandboxId !== process.record.sandboxId) {
      throw new KernelboxError("invalid_argument", "The process belongs to another sandbox.", "Leave out sandbox_id.");
    }
    return process;
  }
}

function hasEnded(details?: Record<string, unknown>): KernelboxError {
  return new KernelboxError("invalid_argument", "The process has ended: nothing reads its stdin.", "get_process tells how it ended.", {
    ...(details === undefined ? {} : { details }),
  });
}

/** After these the supervisor kills what is still there. */
const ENDING: ReadonlySet<string> = new Set(["TERM", "KILL", "INT", "QUIT", "ABRT"]);

function terminalParams(terminal: TerminalSize | undefined): Record<string, unknown> {
  return terminal === undefined ? {} : { terminal: { rows: terminal.rows, columns: terminal.columns } };
}
