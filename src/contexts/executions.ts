import { KernelboxError } from "../errors.ts";
import { ExecutionFold } from "../events/fold.ts";
import { earlierLossMessage, earlierSandboxLossMessage } from "../events/loss-message.ts";
import type { ExecutionResult } from "../events/result.ts";
import { newId } from "../ids.ts";
import { LIMITS } from "../limits.ts";
import type { Sandboxes } from "../sandboxes/sandboxes.ts";
import { executionCancelledSchema, executionStartedSchema } from "../sandboxes/supervisor-schemas.ts";
import type { ExecutionRecord } from "../store/execution-record.ts";
import type { ExecutionRecords } from "../store/execution-records.ts";
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
    const record = this.#records.open({ ...ids, principal: caller.principal });
    const execution = new Execution(ids, {
      sandbox,
      record,
      fold: new ExecutionFold(context.incarnationOffset),
      timeoutMs: timeoutSeconds * 1_000,
      queueMs: this.#inContext(context.contextId).reduce((sum, before) => sum + before.longestMs, 0),
      onOutput: caller.onOutput,
    });
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
        if (execution.fold.isEnded) return;
        execution.giveUp();
        throw contextError(error);
      });
      caller.signal?.addEventListener("abort", onAbort, { once: true });
      if (caller.signal?.aborted) onAbort();
      await execution.ended;
      this.#tellLosses(execution, context, caller.signal?.aborted === true);
      return { ...ids, result: execution.result(), record };
    } finally {
      caller.signal?.removeEventListener("abort", onAbort);
      this.#running.delete(ids.executionId);
    }
  }

  /**
   * Puts a loss that nobody was told of into the reply that is about to be given. One loss a reply: what this does not say the next one will. A
   * caller who has left gets no reply, so what theirs would have said is kept for the next.
   */
  #tellLosses(execution: Execution, context: ContextRecord, hasCallerLeft: boolean): void {
    const { fold } = execution;
    const { state } = fold.result();
    context.lastIncarnation = Math.max(context.lastIncarnation, state.incarnation);
    if (hasCallerLeft) {
      if (state.variables === "lost" && state.reason !== null)
        context.untoldLoss ??= { reason: state.reason, message: earlierLossMessage({ ...fold.death, reason: state.reason }) };
      return;
    }
    if (state.variables === "lost") return;
    const lost = this.#sandboxes.untoldLoss(context.principal);
    const loss = context.untoldLoss ?? (lost?.end && { reason: lost.end.reason, message: earlierSandboxLossMessage(lost.end.message) });
    if (loss === undefined) return;
    fold.tellLoss(loss.reason, loss.message);
    context.untoldLoss = undefined;
    if (lost !== undefined) this.#sandboxes.lossWasTold(lost);
  }

  /** Stops a running execution, or drops one that waits; gives what became of it. */
  async cancel(target: CancelTarget, principal: string): Promise<Cancelled> {
    const { executionId, contextId, sandboxId } = target;
    if (contextId !== undefined) {
      this.#contexts.find({ contextId, sandboxId }, principal);
      const [first] = this.#inContext(contextId);
      if (first === undefined) throw new KernelboxError("not_found", "Nothing runs in this context.", "Nothing to do.");
      return await this.#stop(first);
    }
    const record = this.#records.find(executionId ?? "", principal);
    if (record === undefined) throw unknownExecution();
    if (sandboxId !== undefined && sandboxId !== record.sandboxId) {
      throw new KernelboxError("invalid_argument", "The execution belongs to another sandbox.", "Leave out sandbox_id.");
    }
    const running = this.#running.get(record.executionId);
    if (running !== undefined) return await this.#stop(running);
    if (record.outcome === undefined) throw unknownExecution();
    return { executionId: record.executionId, state: "ended", ...record.outcome };
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
    return { executionId, state, status: execution.fold.result().status, variables: execution.fold.hasLostVariables ? "lost" : "kept" };
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
