import { KernelboxError } from "../errors.ts";
import { ExecutionFold } from "../events/fold.ts";
import type { ExecutionResult } from "../events/result.ts";
import { newId } from "../ids.ts";
import { LIMITS } from "../limits.ts";
import { checkEnv } from "../sandboxes/environment.ts";
import type { Sandboxes } from "../sandboxes/sandboxes.ts";
import { settledWithin } from "../sandboxes/settled-within.ts";
import { executionCancelledSchema, executionStartedSchema } from "../sandboxes/supervisor-schemas.ts";
import type { ExecutionRecord } from "../store/execution-record.ts";
import type { ExecutionRecords } from "../store/execution-records.ts";
import { cleanCode } from "./clean-code.ts";
import { checkCode, digestOf } from "./code.ts";
import type { ContextRecord } from "./context-record.ts";
import { type Contexts, contextError } from "./contexts.ts";
import { Execution, type ExecutionIds, type ExecutionParts, unknownExecution } from "./execution.ts";
import { checkExecutionEnv } from "./languages.ts";
import { Losses, wasTold } from "./losses.ts";

export interface ExecuteRequest {
  code: string;
  language?: string | undefined;
  contextId?: string | undefined;
  sandboxId?: string | undefined;
  timeoutSeconds?: number | undefined;
  env?: Record<string, string> | undefined;
  /** Answer at once; the code goes on. */
  background?: boolean | undefined;
  /** The same key again answers the same execution. */
  idempotencyKey?: string | undefined;
}

export interface ExecutionReply extends ExecutionIds {
  result: ExecutionResult;
  record: ExecutionRecord;
}

/** Who waits, and how they are told what comes meanwhile. */
export interface Waiter {
  principal: string;
  signal?: AbortSignal | undefined;
  onOutput?: ((text: string) => void) | undefined;
}

/** An execution as a caller names it; the sandbox is only checked. */
export interface ExecutionHandle {
  executionId: string;
  sandboxId?: string | undefined;
}

export interface CancelTarget {
  executionId?: string | undefined;
  contextId?: string | undefined;
  /** Only checked. */
  sandboxId?: string | undefined;
}

export interface Cancelled {
  executionId: string;
  state: "stopping" | "dropped" | "ended";
  status: string;
  variables: "kept" | "lost";
}

const DEFAULT_LANGUAGE = "python";

/** Runs code in contexts, waits for it, and stops it. */
export class Executions {
  readonly #sandboxes: Sandboxes;
  readonly #contexts: Contexts;
  readonly #records: ExecutionRecords;
  readonly #softDeadlineMs: number;
  readonly #onLast: ExecutionParts["onLast"];
  readonly #losses: Losses;
  /** Those that have not ended, in order of arrival. */
  readonly #running = new Map<string, Execution>();

  constructor(parts: {
    sandboxes: Sandboxes;
    contexts: Contexts;
    records: ExecutionRecords;
    softDeadlineMs: number;
    onLast?: ExecutionParts["onLast"];
  }) {
    this.#sandboxes = parts.sandboxes;
    this.#contexts = parts.contexts;
    this.#records = parts.records;
    this.#softDeadlineMs = parts.softDeadlineMs;
    this.#onLast = parts.onLast;
    this.#losses = new Losses(parts.sandboxes);
  }

  /**
   * Runs the code and gives its result, whatever its status: at its end, or at the soft deadline, when the code goes on. Until then the caller's
   * leaving stops it, unless it is detached: in the background, or under a key. Throws only for misuse and for what is not the code's doing.
   */
  async execute(request: ExecuteRequest, caller: Waiter): Promise<ExecutionReply> {
    const answerAt = performance.now() + this.#softDeadlineMs;
    checkCode(request.code);
    checkEnv(request.env);
    if (request.contextId === undefined) checkExecutionEnv(request.language ?? DEFAULT_LANGUAGE, request.env);
    const context = await this.#contextFor(request, caller.principal, caller.signal);
    const known = this.#known(request, context);
    const execution = known === undefined ? this.#begin(request, context) : this.#running.get(known.executionId);
    if (execution === undefined) return this.#stored(known as ExecutionRecord);
    const state = await execution.accepted;
    if (request.background === true && state === "running") await settledWithin(execution.begun, LIMITS.executionBeginMs);
    const ms = request.background === true ? 0 : answerAt - performance.now();
    const isDetached = request.background === true || request.idempotencyKey !== undefined;
    return await this.#answer(execution, caller, ms, isDetached ? undefined : () => void this.#stop(execution).catch(() => {}));
  }

  /** The result until now, or at its end if that comes within the time; of one that has ended, what is kept of it. */
  async get(handle: ExecutionHandle, waitMs: number, caller: Waiter): Promise<ExecutionReply> {
    const record = this.#find(handle, caller.principal);
    const execution = this.#running.get(record.executionId);
    return execution === undefined ? this.#stored(record) : await this.#answer(execution, caller, waitMs);
  }

  /** Stops a running execution, or drops one that waits; gives what became of it. */
  async cancel(target: CancelTarget, principal: string): Promise<Cancelled> {
    const { executionId = "", contextId, sandboxId } = target;
    if (contextId !== undefined) {
      this.#contexts.find({ contextId, sandboxId }, principal);
      const [first] = this.#inContext(contextId);
      if (first === undefined) throw new KernelboxError("not_found", "Nothing runs in this context.", "Nothing to do.");
      return await this.#stop(first);
    }
    const record = this.#find({ executionId, sandboxId }, principal);
    const running = this.#running.get(record.executionId);
    if (running !== undefined) return await this.#stop(running);
    if (record.outcome === undefined) throw unknownExecution();
    return { executionId: record.executionId, state: "ended", ...record.outcome };
  }

  /** Nothing is awaited between the look for a key and the record that has it: of two calls at once the second finds the first. */
  #begin(request: ExecuteRequest, context: ContextRecord): Execution {
    const { contextId, sandboxId, language, principal } = context;
    const sandbox = this.#contexts.sandboxOf(context);
    const { default: foreground, background, max } = LIMITS.timeoutSeconds;
    const timeoutSeconds = Math.min(request.timeoutSeconds ?? (request.background === true ? background : foreground), max);
    const ids: ExecutionIds = { executionId: newId("exe"), contextId, sandboxId, language };
    const key = request.idempotencyKey;
    const cleaned = cleanCode(request.code, language);
    const record = this.#records.open({
      ...ids,
      principal,
      ...(key === undefined ? {} : { key: { name: key, digest: digestOf(request.code) } }),
    });
    const execution = new Execution(ids, {
      sandbox,
      context,
      record,
      fold: new ExecutionFold(context.incarnationOffset, context.lastIncarnation),
      timeoutMs: timeoutSeconds * 1_000,
      onLast: this.#onLast,
      queueMs: this.#inContext(contextId).reduce((sum, before) => sum + before.longestMs, 0),
    });
    void record.putCode(cleaned.code);
    for (const notice of [...sandbox.takeNotes(), ...cleaned.notices]) execution.fold.note(notice);
    this.#running.set(ids.executionId, execution);
    // Before anybody who waits goes on.
    void execution.ended.then(() => {
      this.#running.delete(ids.executionId);
      if (execution.waiters === 0) this.#losses.leave(execution);
    });
    sandbox.subscribe(ids.executionId, execution);
    const params = {
      execution_id: ids.executionId,
      context_id: contextId,
      code: cleaned.code,
      timeout_s: timeoutSeconds,
      ...(request.env === undefined ? {} : { env: request.env }),
    };
    execution.accept(
      sandbox.request("execution.start", params, executionStartedSchema, { deadlineMs: LIMITS.contextStartMs }).then(
        ({ state }) => state,
        (error) => this.#refused(execution, KernelboxError.from(error)),
      ),
    );
    return execution;
  }

  /** An execution that never was. */
  #refused(execution: Execution, error: KernelboxError): string {
    if (execution.fold.isEnded) return "ended";
    const wasSaid = error.details?.sandbox_message !== undefined;
    const refusal = error.code === "limit_exceeded" && wasSaid ? this.#queueFull(execution) : contextError(error);
    // Where no answer came, it may run all the same.
    if (!wasSaid) void this.#stop(execution).catch(() => {});
    execution.giveUp();
    this.#records.drop(execution.ids.executionId);
    throw refusal;
  }

  /** Waits, and gives the reply. A caller who leaves gets none; whether that ends the code is theirs to say. */
  async #answer(execution: Execution, caller: Waiter, ms: number, onLeave?: () => void): Promise<ExecutionReply> {
    const { signal } = caller;
    const stopListening = execution.listen(caller.onOutput);
    try {
      await settledWithin(execution.ended, ms, signal);
    } finally {
      stopListening();
    }
    if (signal?.aborted) {
      if (execution.isEnded) this.#losses.leave(execution);
      else onLeave?.();
      throw KernelboxError.cancelled(signal.reason);
    }
    this.#losses.tell(execution);
    return { ...execution.ids, result: this.#withPlace(execution), record: execution.record };
  }

  #stored(record: ExecutionRecord): ExecutionReply {
    const { executionId, contextId, sandboxId, language, result } = record;
    if (result === undefined) throw unknownExecution();
    const context = this.#contexts.peek(contextId);
    if (context !== undefined) wasTold(context, executionId);
    return { executionId, contextId, sandboxId, language, result: result(), record };
  }

  /** The result so far, of one that waits its turn with how long that may take. */
  #withPlace(execution: Execution): ExecutionResult {
    const result = execution.result();
    if (result.status !== "queued") return result;
    const before = this.#before(execution).length;
    const notices =
      before === 0
        ? result.notices
        : [
            ...result.notices,
            `${before === 1 ? "1 execution of its context comes" : `${before} executions of its context come`} before it.`,
          ];
    return { ...result, notices, stopsAt: this.#latestEnd([...this.#before(execution), execution]) };
  }

  /** When the last of them is stopped, if each takes all the time that it may. */
  #latestEnd(executions: Execution[]): string {
    let at = Date.now();
    for (const { fold, timeoutMs } of executions) at = fold.stopsAt === null ? at + timeoutMs : Math.max(at, Date.parse(fold.stopsAt));
    return new Date(at).toISOString();
  }

  #before(execution: Execution): Execution[] {
    const all = this.#inContext(execution.ids.contextId);
    return all.slice(0, Math.max(0, all.indexOf(execution)));
  }

  #queueFull(execution: Execution): KernelboxError {
    const before = this.#before(execution);
    const [first] = before;
    const waiting = before.filter(({ fold }) => fold.status === "queued").length;
    const stopsAt = this.#latestEnd(first === undefined ? [] : [first]);
    const id = first?.ids.executionId ?? null;
    const hint =
      id === null
        ? "Wait a moment, or use another context."
        : `The first of them, ${id}, may take until ${stopsAt}: wait for it with get_execution, stop it with cancel_execution and its execution_id, or use another context (create_context).`;
    return new KernelboxError("limit_exceeded", `The queue of this context was full; ${waiting} executions wait in it now.`, hint, {
      details: { waiting, running_execution_id: id, stops_at: stopsAt },
    });
  }

  /** What the key was given with before, in this context. */
  #known(request: ExecuteRequest, context: ContextRecord): ExecutionRecord | undefined {
    if (request.idempotencyKey === undefined) return undefined;
    const record = this.#records.withKey(context.contextId, request.idempotencyKey);
    if (record === undefined || record.key?.digest === digestOf(request.code)) return record;
    throw new KernelboxError(
      "invalid_argument",
      `The idempotency_key was given with other code before: it is that of execution ${record.executionId}.`,
      "Give new code a key of its own, or ask for that execution with get_execution.",
    );
  }

  #find({ executionId, sandboxId }: ExecutionHandle, principal: string): ExecutionRecord {
    const record = this.#records.find(executionId, principal);
    if (record === undefined) throw unknownExecution();
    if (sandboxId !== undefined && sandboxId !== record.sandboxId) {
      throw new KernelboxError("invalid_argument", "The execution belongs to another sandbox.", "Leave out sandbox_id.");
    }
    return record;
  }

  /** In the order in which they run. */
  #inContext(contextId: string): Execution[] {
    return [...this.#running.values()].filter((execution) => execution.ids.contextId === contextId);
  }

  async #stop(execution: Execution): Promise<Cancelled> {
    const { executionId, sandboxId } = execution.ids;
    const sandbox = this.#sandboxes.find(sandboxId);
    const { state } =
      sandbox === undefined
        ? { state: "ended" as const }
        : await sandbox.request("execution.cancel", { execution_id: executionId }, executionCancelledSchema).catch((error) => {
            throw contextError(error);
          });
    await execution.ended;
    // A loss before it is told with it, but it was not what stopping it cost.
    return { executionId, state, status: execution.fold.status, variables: execution.fold.hasLostVariables ? "lost" : "kept" };
  }

  async #contextFor(request: ExecuteRequest, principal: string, signal: AbortSignal | undefined): Promise<ContextRecord> {
    if (request.contextId !== undefined) return this.#givenContext(request, request.contextId, principal);
    const sandbox =
      request.sandboxId === undefined
        ? await this.#sandboxes.default(principal, "make", signal)
        : this.#sandboxes.get(request.sandboxId, principal);
    return await this.#contexts.default(sandbox, request.language ?? DEFAULT_LANGUAGE, signal);
  }

  #givenContext(request: ExecuteRequest, contextId: string, principal: string): ContextRecord {
    const context = this.#contexts.find({ contextId, sandboxId: request.sandboxId }, principal);
    if (request.language !== undefined && request.language !== context.language) {
      throw new KernelboxError(
        "invalid_argument",
        `The context's language is ${context.language}, not ${request.language}.`,
        "Leave out language, or leave out context_id to use the default context of that language.",
      );
    }
    checkExecutionEnv(context.language, request.env);
    return context;
  }
}
