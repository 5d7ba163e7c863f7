import { KernelboxError } from "../errors.ts";
import { plainText } from "../events/terminal-text.ts";
import { LIMITS } from "../limits.ts";
import { inspectionSchema, type Missing, type SupervisorInspection } from "../sandboxes/inspection-schema.ts";
import { type ContextHandle, type Contexts, contextError } from "./contexts.ts";
import { LANGUAGES, type Language, type LanguageName } from "./languages.ts";

/** A place in code, in Unicode code points from its beginning; without one, its end. */
export interface CodePlace {
  code: string;
  cursor?: number | undefined;
}

export interface InspectRequest {
  include: readonly ("variables" | "packages" | "usage")[];
  complete?: CodePlace | undefined;
  inspect?: CodePlace | undefined;
}

/** What a context has and uses. What was not asked for, or cannot be told, is null; a notice says which and why. */
export interface Inspection {
  currentCwd: string | null;
  variables: { name: string; type: string; shape: number[] | null; sizeBytes: number | null; preview: string | null }[] | null;
  packages: { name: string; version: string }[] | null;
  usage: Usage | null;
  completions: { matches: string[]; cursorStart: number; cursorEnd: number } | null;
  inspection: { found: boolean; text: string | null } | null;
  notices: string[];
}

export interface Usage {
  memoryBytes: number;
  cpuSeconds: number;
  processes: number;
  sandbox: { memoryBytes: number; memoryLimitBytes: number; memoryPeakBytes: number; cpuSeconds: number; processes: number };
}

/** Changes nothing in the context. Completion and inspection need its kernel, so they are refused while it is at work. */
export async function inspectContext(
  contexts: Contexts,
  handle: ContextHandle,
  request: InspectRequest,
  caller: { principal: string; signal?: AbortSignal | undefined },
): Promise<Inspection> {
  const record = contexts.find(handle, caller.principal);
  const params = { context_id: record.contextId, include: request.include, complete: request.complete, inspect: request.inspect };
  const call = { signal: caller.signal, deadlineMs: LIMITS.lookMs };
  const said = await contexts
    .sandboxOf(record)
    .request("context.inspect", params, inspectionSchema, call)
    .catch((thrown: unknown) => {
      throw lookError(thrown);
    });
  return {
    currentCwd: said.current_cwd,
    variables:
      said.variables?.variables.map(({ name, type, shape, size_bytes, preview }) => ({
        name: shown(name, NAME_CHARACTERS),
        type: shown(type, 2 * NAME_CHARACTERS),
        shape,
        sizeBytes: size_bytes,
        preview: preview === null ? null : shown(preview, LIMITS.previewCharacters),
      })) ?? null,
    packages: said.packages?.packages.map(({ name, version }) => ({ name: plainText(name), version: plainText(version) })) ?? null,
    usage: said.usage === null ? null : usage(said.usage),
    completions:
      said.complete === null
        ? null
        : {
            matches: said.complete.matches.map((match) => shown(match, 2 * NAME_CHARACTERS)),
            cursorStart: said.complete.cursor_start,
            cursorEnd: said.complete.cursor_end,
          },
    inspection: said.inspect === null ? null : { found: said.inspect.found, text: textOrNull(said.inspect.text) },
    notices: notices(said, record.language),
  };
}

const NAME_CHARACTERS = 100;

function shown(text: string, characters: number): string {
  return plainText(text).slice(0, characters).toWellFormed();
}

function textOrNull(text: string | null): string | null {
  return text === null ? null : plainText(text);
}

function usage({ memory_bytes, cpu_s, processes, sandbox }: NonNullable<SupervisorInspection["usage"]>): Usage {
  return {
    memoryBytes: memory_bytes,
    cpuSeconds: cpu_s,
    processes,
    sandbox: {
      memoryBytes: sandbox.memory_bytes,
      memoryLimitBytes: sandbox.memory_limit_bytes,
      memoryPeakBytes: sandbox.memory_peak_bytes,
      cpuSeconds: sandbox.cpu_s,
      processes: sandbox.pids,
    },
  };
}

function notices({ missing, variables, packages, complete, inspect }: SupervisorInspection, language: string): string[] {
  const said: string[] = [];
  const can: Language | undefined = LANGUAGES[language as LanguageName];
  if (complete?.matches.length === 0 && can?.completes === false) said.push(`The ${language} kernel cannot complete names.`);
  if (inspect?.found === false && can?.inspects === false) {
    said.push(`The ${language} kernel cannot inspect names: look at what they hold with execute_code.`);
  }
  if (missing.variables !== undefined) said.push(`variables is null: ${WHY_NO_VARIABLES[missing.variables](language)}`);
  if (missing.packages !== undefined)
    said.push(`packages is null: they are listed for python only, and this context's language is ${language}.`);
  if (variables !== null && variables.left_out > 0) {
    said.push(
      `${variables.left_out} more variables are not listed: the data that was defined last is, then functions, classes and modules.`,
    );
  }
  if (packages !== null && packages.left_out > 0) said.push(`${packages.left_out} more packages are not listed.`);
  if (complete !== null && complete.left_out > 0) said.push(`${complete.left_out} more completions are not listed: type more of the name.`);
  return said;
}

const WHY_NO_VARIABLES: Readonly<Record<Missing, (language: string) => string>> = {
  busy: () => "the context is busy. Ask again when its code has ended, or stop it with cancel_execution.",
  unsupported: (language) => `the ${language} kernel does not tell them. Print those you need with execute_code.`,
  deadline_exceeded: () => "the kernel did not answer in time. Try again, or restart_context.",
  kernel_died: () => "the context has no kernel now, so no variables. The next execute_code or restart_context starts one.",
};

function lookError(thrown: unknown): KernelboxError {
  const error = KernelboxError.from(thrown);
  const words = LOOK_ERRORS[error.code];
  if (words === undefined || error.details?.sandbox_message === undefined) return contextError(error);
  return new KernelboxError(error.code, words[0], words[1], { cause: error });
}

const LOOK_ERRORS: Partial<Record<KernelboxError["code"], [message: string, hint: string]>> = {
  busy: [
    "The context is busy, and its kernel can complete and inspect names only between executions.",
    "Ask again when its code has ended (get_context says idle), or stop it with cancel_execution.",
  ],
  unsupported: ["This context's kernel does not complete or inspect names.", "Use execute_code to look at a name."],
  deadline_exceeded: [
    "The kernel did not answer in time: an object in the code may take long to tell of itself. It was interrupted; variables are kept.",
    "Ask about another name, or restart_context when the context does not answer any more.",
  ],
  kernel_died: ["The context has no kernel now.", "Run code in it with execute_code, or restart_context, and ask again."],
  too_large: ["The code is too long to be looked at.", `Give at most ${LIMITS.lookCodeCharacters} characters around the name.`],
};
