import { KernelboxError } from "../errors.ts";
import { ExecutionFold } from "../events/fold.ts";
import type { ExecutionResult } from "../events/result.ts";
import { newId } from "../ids.ts";
import { LIMITS } from "../limits.ts";
import type { Sandboxes } from "../sandboxes/sandboxes.ts";
import { executionCancelledSchema, executionStartedSchema } from "../sandboxes/supervisor-schemas.ts";
import type { ExecutionRecord, ExecutionRecords } from "../store/execution-records.ts";
import type { ContextRecord } from "./context-record.ts";
import { type Contexts, checkEnv, contextError } from "./contexts.ts";
import { Execution, type ExecutionIds, unknownExecution } from "./execution.ts";

export interface ExecuteRequest {
  code: string;
  language?: string | undefined;
  contextId?: string | undefined;
  sandboxId?: string | undefined;
  timeoutSeconds?: number | undefined;
  env?: Record<string, string> | undefined;
}

export interface ExecutionReply extends ExecutionIds {
  result: ExecutionResult;
  record: ExecutionRecord;
}

export interface Cancelled {
  executionId: string;
  state: "stopping" | "dropped" | "ended";
  status: ExecutionResult["status"];
  variables: "kept" | "lost";
}

const DEFAULT_LANGUAGE = "python";

/** Runs code in contexts and stops it. */
export class Executions {
  readonly #sandboxes: Sandboxes;
  readonly #contexts: Contexts;
  readonly #records: ExecutionRecords;
  readonly #running = new Map<string, Execution>();

  constructor(parts: { sandboxes: Sandboxes; contexts: Contexts; records: ExecutionRecords }) {
    this.#sandboxes = parts.sandboxes;
    this.#contexts = parts.contexts;
    this.#records = parts.records;
  }

  /**
   * Runs the code to its end and gives the result, whatever its status. When the signal aborts, the code is stopped. Throws only for misuse and
   * for what is not the code's doing.
   */
  async execute(
    request: ExecuteRequest,
    caller: { principal: string; signal?: AbortSignal | undefined; onOutput?: ((text: string) => void) | undefined },
  ): Promise<ExecutionReply> {
    checkCode(request.code);
    checkEnv(request.env);
    const context = await this.#contextFor(request, caller.principal, caller.signal);
    const sandbox = this.#contexts.sandboxOf(context);
    const timeoutSeconds = request.timeoutSeconds ?? LIMITS.timeoutSeconds.default;
    const ids: ExecutionIds = {
      executionId: newId("exe"),
      contextId: context.contextId,
      sandboxId: context.sandboxId,
      language: context.language,
    };
    const fold = new ExecutionFold(context.incarnationOffset);
    const loss = context.untoldLoss;
    context.untoldLoss = undefined;
    if (loss !== undefined) fold.tellLoss({ reason: loss }, context.incarnationOffset + 1);
    const record = await this.#records.open({ ...ids, principal: caller.principal });
    const execution = new Execution(ids, { sandbox, record, fold, timeoutMs: timeoutSeconds * 1_000, onOutput: caller.onOutput });
    record.snapshot = () => ({ ...ids, result: execution.result() });
    this.#running.set(ids.executionId, execution);
    sandbox.subscribe(ids.executionId, execution);
    const onAbort = () => void this.#stop(execution).catch(() => {});
    try {
      const params = {
        execution_id: ids.executionId,
        context_id: ids.contextId,
        code: request.code,
        timeout_s: timeoutSeconds,
        ...(request.env === undefined ? {} : { env: request.env }),
      };
      await sandbox.request("execution.start", params, executionStartedSchema, { deadlineMs: LIMITS.contextStartMs }).catch((error) => {
        if (fold.isEnded) return;
        context.untoldLoss = loss;
        throw contextError(error);
      });
      caller.signal?.addEventListener("abort", onAbort, { once: true });
      if (caller.signal?.aborted) onAbort();
      await execution.ended;
      const result = execution.result();
      context.lastIncarnation = Math.max(context.lastIncarnation, result.state.incarnation);
      return { ...ids, result, record };
    } finally {
      caller.signal?.removeEventListener("abort", onAbort);
      this.#running.delete(ids.executionId);
    }
  }

  /** Stops a running execution, or drops one that waits; gives what became of it. */
  async cancel(target: { executionId?: string | undefined; contextId?: string | undefined }, principal: string): Promise<Cancelled> {
    const execution = this.#target(target, principal);
    if (execution !== undefined) return await this.#stop(execution);
    const record = target.executionId === undefined ? undefined : this.#records.find(target.executionId, principal);
    const ended = record?.snapshot?.() as { result: ExecutionResult } | undefined;
    if (record === undefined || ended === undefined) throw unknownExecution();
    return {
      executionId: record.executionId,
      state: "ended",
      status: ended.result.status,
      variables: ended.result.state.variables,
    };
  }

  #target(target: { executionId?: string | undefined; contextId?: string | undefined }, principal: string): Execution | undefined {
    if (target.executionId !== undefined) {
      if (this.#records.find(target.executionId, principal) === undefined) throw unknownExecution();
      return this.#running.get(target.executionId);
    }
    const contextId = this.#contexts.find(target.contextId ?? "", principal).contextId;
    const running = [...this.#running.values()].find((execution) => execution.ids.contextId === contextId);
    if (running !== undefined) return running;
    throw new KernelboxError("not_found", "Nothing runs in this context.", "Nothing to do.");
  }

  async #stop(execution: Execution): Promise<Cancelled> {
    const { executionId, sandboxId } = execution.ids;
    const sandbox = this.#sandboxes.find(sandboxId);
    const { state } =
      sandbox === undefined
        ? { state: "ended" as const }
        : await sandbox.request("execution.cancel", { execution_id: executionId }, executionCancelledSchema);
    await execution.ended;
    const result = execution.result();
    return { executionId, state, status: result.status, variables: result.state.variables };
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
    const context = this.#contexts.find(contextId, principal);
    if (request.language !== undefined && request.language !== context.language) {
      throw new KernelboxError(
        "invalid_argument",
        `The context's language is ${context.language}, not ${request.language}.`,
        "Leave out language, or leave out context_id to use the default context of that language.",
      );
    }
    if (request.sandboxId !== undefined && request.sandboxId !== context.sandboxId) {
      throw new KernelboxError("invalid_argument", "The context belongs to another sandbox.", "Leave out sandbox_id: the context says it.");
    }
    return context;
  }
}

function checkCode(code: string): void {
  const bytes = Buffer.byteLength(code);
  if (bytes <= LIMITS.codeBytes) return;
  throw new KernelboxError(
    "too_large",
    `The code has ${bytes} bytes; at most ${LIMITS.codeBytes} are taken.`,
    "Write data to a file with write_file and read it in the code.",
  );
}
