import * as z from "zod";
import { KernelboxError } from "../errors.ts";
import { earlierSandboxLossMessage, memoryText } from "../events/loss-message.ts";
import { newId } from "../ids.ts";
import { LIMITS } from "../limits.ts";
import { abortable } from "../sandboxes/abortable.ts";
import { checkEnv } from "../sandboxes/environment.ts";
import { absolutePath, HOME } from "../sandboxes/paths.ts";
import type { CallOptions, Sandbox } from "../sandboxes/sandbox.ts";
import type { Sandboxes } from "../sandboxes/sandboxes.ts";
import { contextSchema, contextsSchema, emptySchema, type SupervisorContext } from "../sandboxes/supervisor-schemas.ts";
import type { ContextRecord } from "./context-record.ts";
import { missingLanguage } from "./languages.ts";

/** A context as callers see it. */
export interface Context {
  contextId: string;
  sandboxId: string;
  language: string;
  cwd: string;
  name: string | null;
  incarnation: number;
  state: "idle" | "busy" | "starting" | "dead";
  queued: number;
  createdAt: string;
  lastActivityAt: string | null;
}

/** A context as a caller names it; the sandbox is only checked. */
export interface ContextHandle {
  contextId: string;
  sandboxId?: string | undefined;
}

export interface CreateContext {
  sandboxId?: string | undefined;
  language: string;
  cwd?: string | undefined;
  env?: Record<string, string> | undefined;
  name?: string | undefined;
}

/** Contexts by handle and principal: the default one per language, and those that were made by name. */
export class Contexts {
  readonly #sandboxes: Sandboxes;
  readonly #contexts = new Map<string, ContextRecord>();
  /** By sandbox and language. */
  readonly #defaults = new Map<string, Promise<ContextRecord>>();
  /** By principal and language, over the ends of sandboxes. */
  readonly #lastDefaults = new Map<string, ContextRecord>();

  constructor(sandboxes: Sandboxes) {
    this.#sandboxes = sandboxes;
  }

  async create(request: CreateContext, principal: string, signal?: AbortSignal): Promise<Context> {
    checkEnv(request.env);
    const cwd = request.cwd === undefined ? HOME : absolutePath(request.cwd);
    const sandbox =
      request.sandboxId === undefined
        ? await this.#sandboxes.default(principal, "make", signal)
        : this.#sandboxes.get(request.sandboxId, principal);
    const { record, context } = await this.#start(sandbox, { ...request, cwd }, false, signal);
    return this.#describe(record, context);
  }

  async list(sandboxId: string | undefined, principal: string, signal?: AbortSignal): Promise<Context[]> {
    const sandbox = sandboxId === undefined ? await this.#sandboxes.existingDefault(principal) : this.#sandboxes.get(sandboxId, principal);
    if (sandbox === undefined) return [];
    const { contexts } = await sandbox.request("context.list", {}, contextsSchema, { signal });
    // Ours, in the order in which they were made, as far as the sandbox still has them.
    const found = new Map(contexts.map((context) => [context.context_id, context]));
    return [...this.#contexts.values()].flatMap((record) => {
      const context = record.sandboxId === sandbox.sandboxId ? found.get(record.contextId) : undefined;
      return context === undefined ? [] : [this.#describe(record, context)];
    });
  }

  async get(handle: ContextHandle, principal: string, signal?: AbortSignal): Promise<Context> {
    const record = this.find(handle, principal);
    const context = await this.#ask(record, "context.get", contextSchema, { signal });
    return this.#describe(record, context);
  }

  async restart(handle: ContextHandle, principal: string, signal?: AbortSignal): Promise<Context> {
    const record = this.find(handle, principal);
    const deadlineMs = LIMITS.contextStartMs + LIMITS.requestMs;
    return this.#describe(record, await this.#ask(record, "context.restart", contextSchema, { signal, deadlineMs }));
  }

  /** Deleting what is gone already is fine, also with its sandbox. */
  async delete(handle: ContextHandle, principal: string, signal?: AbortSignal): Promise<boolean> {
    if (this.#contexts.get(handle.contextId)?.principal !== principal) return false;
    const record = this.find(handle, principal);
    try {
      await this.#ask(record, "context.delete", emptySchema, { signal });
    } catch (error) {
      if (!GONE.has(KernelboxError.from(error).code)) throw error;
      this.#forget(record);
      return false;
    }
    this.#forget(record);
    return true;
  }

  /** The default context of a language in a sandbox, made at its first use. */
  async default(sandbox: Sandbox, language: string, signal?: AbortSignal): Promise<ContextRecord> {
    const key = `${sandbox.sandboxId}:${language}`;
    let pending = this.#defaults.get(key);
    if (pending === undefined) {
      pending = this.#startDefault(sandbox, language);
      this.#defaults.set(key, pending);
      pending.catch(() => this.#defaults.delete(key));
    }
    return await abortable(pending, signal);
  }

  /** `not_found` for unknown and foreign handles alike. */
  find({ contextId, sandboxId }: ContextHandle, principal: string): ContextRecord {
    const record = this.#contexts.get(contextId);
    if (record?.principal !== principal) {
      throw new KernelboxError(
        "not_found",
        "There is no context with this id.",
        "Use list_contexts to see what there is, or leave out context_id to use the default context.",
      );
    }
    if (sandboxId !== undefined && sandboxId !== record.sandboxId) {
      throw new KernelboxError("invalid_argument", "The context belongs to another sandbox.", "Leave out sandbox_id: the context says it.");
    }
    return record;
  }

  /** For what is not a caller's question. */
  peek(contextId: string): ContextRecord | undefined {
    return this.#contexts.get(contextId);
  }

  sandboxOf(record: ContextRecord): Sandbox {
    return this.#sandboxes.get(record.sandboxId, record.principal);
  }

  /** When the sandbox of the last one was lost, the new one goes on counting where that one stopped, and its first execution says so. */
  async #startDefault(sandbox: Sandbox, language: string): Promise<ContextRecord> {
    const { record } = await this.#start(sandbox, { language, cwd: HOME }, true);
    const key = `${sandbox.principal}:${language}`;
    const before = this.#lastDefaults.get(key);
    const end = before === undefined ? undefined : this.#sandboxes.endOf(before.sandboxId);
    if (before !== undefined && end !== undefined) {
      record.incarnationOffset = before.lastIncarnation;
      record.lastIncarnation = before.lastIncarnation + 1;
      record.untoldLoss = { reason: end.reason, message: earlierSandboxLossMessage(end.message) };
      this.#contexts.delete(before.contextId);
      this.#defaults.delete(`${before.sandboxId}:${language}`);
    }
    this.#lastDefaults.set(key, record);
    return record;
  }

  async #start(
    sandbox: Sandbox,
    request: CreateContext & { cwd: string },
    isDefault: boolean,
    signal?: AbortSignal,
  ): Promise<{ record: ContextRecord; context: SupervisorContext }> {
    if (!sandbox.languages.includes(request.language)) {
      throw missingLanguage(request.language, sandbox.languages);
    }
    this.#purge();
    const inSandbox = [...this.#contexts.values()].filter((record) => record.sandboxId === sandbox.sandboxId).length;
    if (inSandbox >= LIMITS.contextsPerSandbox) {
      throw new KernelboxError(
        "limit_exceeded",
        `The sandbox has ${inSandbox} contexts, as many as it may.`,
        "Delete one that is not needed with delete_context.",
      );
    }
    const record: ContextRecord = {
      // One that was started ahead is there already: asked for again, it is answered at once.
      contextId: (isDefault ? sandbox.takePrepared(request.language) : undefined) ?? newId("ctx"),
      sandboxId: sandbox.sandboxId,
      principal: sandbox.principal,
      language: request.language,
      isDefault,
      incarnationOffset: 0,
      lastIncarnation: 1,
    };
    this.#contexts.set(record.contextId, record);
    const params = {
      context_id: record.contextId,
      language: request.language,
      cwd: request.cwd,
      env: request.env ?? {},
      name: request.name ?? null,
      start_timeout_s: LIMITS.contextStartMs / 1_000,
    };
    try {
      const deadlineMs = LIMITS.contextStartMs + LIMITS.requestMs;
      return { record, context: await sandbox.request("context.create", params, contextSchema, { signal, deadlineMs }) };
    } catch (error) {
      this.#contexts.delete(record.contextId);
      throw contextError(error);
    }
  }

  async #ask<T>(record: ContextRecord, method: string, schema: z.ZodType<T>, call: CallOptions): Promise<T> {
    try {
      return await this.sandboxOf(record).request(method, { context_id: record.contextId }, schema, call);
    } catch (error) {
      throw contextError(error);
    }
  }

  /** Contexts tell how their sandbox ended for as long as its handle is remembered. */
  #purge(): void {
    for (const { contextId, sandboxId, language } of [...this.#contexts.values()]) {
      if (this.#sandboxes.isKnown(sandboxId)) continue;
      this.#contexts.delete(contextId);
      this.#defaults.delete(`${sandboxId}:${language}`);
    }
  }

  #describe(record: ContextRecord, context: SupervisorContext): Context {
    const incarnation = context.incarnation + record.incarnationOffset;
    record.lastIncarnation = Math.max(record.lastIncarnation, incarnation);
    return {
      contextId: record.contextId,
      sandboxId: record.sandboxId,
      language: record.language,
      cwd: context.cwd,
      name: context.name ?? null,
      incarnation,
      state: context.state,
      queued: context.queued,
      createdAt: context.created_at,
      lastActivityAt: context.last_activity_at ?? null,
    };
  }

  #forget(record: ContextRecord): void {
    this.#contexts.delete(record.contextId);
    if (!record.isDefault) return;
    this.#defaults.delete(`${record.sandboxId}:${record.language}`);
    this.#lastDefaults.delete(`${record.principal}:${record.language}`);
  }
}

const GONE: ReadonlySet<KernelboxError["code"]> = new Set(["not_found", "sandbox_lost", "sandbox_expired"]);

/** The supervisor's refusals about contexts, in words of ours. */
export function contextError(thrown: unknown): KernelboxError {
  const error = KernelboxError.from(thrown);
  const words = CONTEXT_ERRORS[error.code];
  if (words === undefined || error.details?.sandbox_message === undefined) return error;
  const memory = memorySchema.safeParse(error.details);
  if (error.code === "limit_exceeded" && memory.success) return noMemoryError(memory.data, error);
  return new KernelboxError(error.code, words[0], words[1], { cause: error, details: error.details });
}

const bytes = z.number().int().nonnegative();
const memorySchema = z.object({ memory_free_bytes: bytes, memory_limit_bytes: bytes, memory_needed_bytes: bytes });

function noMemoryError(memory: z.infer<typeof memorySchema>, cause: KernelboxError): KernelboxError {
  const [free, limit, needed] = [memory.memory_free_bytes, memory.memory_limit_bytes, memory.memory_needed_bytes].map(memoryText);
  return new KernelboxError(
    "limit_exceeded",
    `The sandbox has no memory for another kernel: ${free} of its ${limit} are free, and a kernel needs ${needed} to start.`,
    "Delete contexts that are not needed with delete_context, restart_context one that holds much (get_context with include usage says), or remove files.",
    { cause, details: memory },
  );
}

const CONTEXT_ERRORS: Partial<Record<KernelboxError["code"], [message: string, hint: string]>> = {
  kernel_died: [
    "The context's kernel ended while it was starting; its last words are in the details.",
    "Look for start-up files in the workspace (.ipython, .local, deno.json) that could break it, remove them with write_file or another context, then restart_context.",
  ],
  deadline_exceeded: ["The context's kernel did not start in time.", "Try again; another context may be using all processors."],
  invalid_argument: [
    "The context cannot be made like that.",
    "Check that cwd is a folder beneath /home/user or /tmp, and the names in env.",
  ],
  permission_denied: ["The context cannot be made there.", "Check that cwd is a folder beneath /home/user or /tmp."],
  not_found: ["The sandbox does not know this context any more.", "Make a new one with create_context."],
  limit_exceeded: [
    "The sandbox has no room for another kernel.",
    "Delete contexts that are not needed, or stop processes that the code started.",
  ],
};
