import { type ErrorCode, KernelboxError } from "../../errors.ts";
import { LIMITS } from "../../limits.ts";
import { ownCommand } from "../../own-command.ts";
import { restartHint, startHint } from "./start-hint.ts";

interface Translation {
  code: ErrorCode;
  says: string;
  hint: () => string;
}

const DENIED: Translation = {
  code: "engine_unavailable",
  says: "This user may not use the Docker engine's socket",
  hint: () =>
    "Join its group, then log in again: sudo usermod -aG docker $USER. Or use a rootless engine: dockerd-rootless-setuptool.sh install.",
};
const SILENT: Translation = { code: "engine_unavailable", says: "The Docker engine does not answer", hint: () => startHint() };
const TLS: Translation = {
  code: "engine_unavailable",
  says: "The Docker engine and this client do not trust each other's certificates",
  hint: () => "Check DOCKER_TLS_VERIFY, and ca.pem, cert.pem and key.pem in DOCKER_CERT_PATH.",
};
const FAILED: Translation = {
  code: "engine_unavailable",
  says: "The Docker engine failed",
  hint: () => `Its reason is in the details and in the log. Look at everything: ${ownCommand("doctor")}`,
};

const BY_ERRNO: Record<string, Translation> = {
  EACCES: DENIED,
  EPERM: DENIED,
  ENOENT: SILENT,
  ECONNREFUSED: SILENT,
  ECONNRESET: SILENT,
  ECONNABORTED: SILENT,
  EPIPE: SILENT,
  EHOSTUNREACH: SILENT,
  ENETUNREACH: SILENT,
  ENOTFOUND: SILENT,
  EAI_AGAIN: SILENT,
  ETIMEDOUT: SILENT,
  ENOTSOCK: SILENT,
  EPROTO: TLS,
  CERT_HAS_EXPIRED: TLS,
  DEPTH_ZERO_SELF_SIGNED_CERT: TLS,
  SELF_SIGNED_CERT_IN_CHAIN: TLS,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: TLS,
  ERR_TLS_CERT_ALTNAME_INVALID: TLS,
};

const BY_STATUS: Record<number, Translation> = {
  400: {
    code: "engine_unavailable",
    says: "The Docker engine refused the settings",
    hint: () => `Its reason is in the details. Check --memory, --cpus and --runtime, then: ${ownCommand("doctor")}`,
  },
  401: DENIED,
  403: {
    ...DENIED,
    says: "The Docker engine, or a proxy before it, forbids this",
    hint: () => "Allow there: info, events, build, and the calls on containers, images, networks and volumes.",
  },
  404: { code: "not_found", says: "The Docker engine does not know it", hint: () => "List what there is; it may have ended." },
  409: { code: "busy", says: "The Docker engine is at work on it already", hint: () => "Try again in a second." },
};

/** An engine's failure in words of ours. `doing` is ours as well, as in "creating a container". */
export function engineError(thrown: unknown, doing: string): KernelboxError {
  if (thrown instanceof KernelboxError) return thrown;
  const { code, says, hint } = BY_ERRNO[errnoOf(thrown)] ?? BY_STATUS[statusOf(thrown)] ?? FAILED;
  return new KernelboxError(code, `${says} (${doing}).`, hint(), { cause: thrown, details: { engine_message: textOf(thrown) } });
}

export function deadlineError(doing: string, deadlineMs: number): KernelboxError {
  return new KernelboxError(
    "engine_unavailable",
    `The Docker engine did not answer within ${deadlineMs} ms (${doing}).`,
    `See whether it hangs: docker info. If so, ${restartHint()}`,
  );
}

export function cancelledError(cause: unknown): KernelboxError {
  return new KernelboxError("cancelled", "The call was cancelled.", "Nothing to do.", { cause });
}

/** Nobody is there, as opposed to somebody who refuses. */
export function isSilence(error: KernelboxError): boolean {
  return BY_ERRNO[errnoOf(error.cause)] === SILENT;
}

/** The HTTP status that the engine answered with; 0 where it was none. */
export function statusOf(thrown: unknown): number {
  if (thrown instanceof KernelboxError) return statusOf(thrown.cause);
  const status = typeof thrown === "object" && thrown !== null && "statusCode" in thrown ? thrown.statusCode : undefined;
  return typeof status === "number" ? status : 0;
}

function errnoOf(thrown: unknown): string {
  const code = typeof thrown === "object" && thrown !== null && "code" in thrown ? thrown.code : undefined;
  return typeof code === "string" ? code : "";
}

/** The engine's own words are kept, but bounded: they may quote what an image or a container chose to say. */
function textOf(thrown: unknown): string {
  return (thrown instanceof Error ? thrown.message : String(thrown)).slice(0, LIMITS.engineTextCharacters);
}

export interface AnswerOptions<T> {
  /** Default: LIMITS.engineMs. */
  deadlineMs?: number;
  /** Gets an answer that came after the deadline; without it, the request is ended at the deadline. */
  onLate?: (answer: T) => void;
}

/** Waits for the engine's answer, but not for ever, and translates its failure. What is asked gets a signal that ends the request. */
export async function answered<T>(doing: string, ask: (signal: AbortSignal) => Promise<T>, options: AnswerOptions<T> = {}): Promise<T> {
  const { deadlineMs = LIMITS.engineMs, onLate } = options;
  const controller = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  let isLate = false;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      isLate = true;
      reject(deadlineError(doing, deadlineMs));
    }, deadlineMs);
  });
  try {
    const answer = ask(controller.signal);
    if (onLate !== undefined) void answer.then((value) => isLate && onLate(value)).catch(() => {});
    return await Promise.race([answer, late]);
  } catch (error) {
    // Also after a refusal: docker-modem leaves the request of a refused attach open.
    if (onLate === undefined) controller.abort();
    throw engineError(error, doing);
  } finally {
    clearTimeout(timer);
  }
}
