/**
 * The closed list of error codes and the one error class. A code is added only when a caller must react differently to it; its next step
 * stands in docs/errors.md.
 */
export const ERROR_CODES = [
  "invalid_argument",
  "unauthenticated",
  "permission_denied",
  "not_found",
  "already_exists",
  "busy",
  "sandbox_expired",
  "too_large",
  "limit_exceeded",
  "deadline_exceeded",
  "cancelled",
  "kernel_died",
  "sandbox_lost",
  "engine_unavailable",
  "unsupported",
  "internal",
] as const;

export type ErrorCode = (typeof ERROR_CODES)[number];

export interface KernelboxErrorOptions {
  /** What caused it: logged, never shown to a caller. */
  cause?: unknown;
  /** Data for the caller, text of a sandbox or an engine among it; never part of the message. */
  details?: Record<string, unknown>;
}

/** Message: what happened, with numbers. Hint: what the caller can do next. Both are our own words only. */
export class KernelboxError extends Error {
  override readonly name = "KernelboxError";
  readonly details: Record<string, unknown> | undefined;

  constructor(
    readonly code: ErrorCode,
    message: string,
    readonly hint: string,
    options: KernelboxErrorOptions = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.details = options.details;
  }

  /** The caller gave up. What it gives as its reason can be anything, a string of the host's among it. */
  static cancelled(cause?: unknown): KernelboxError {
    return new KernelboxError("cancelled", "The call was cancelled.", "Nothing to do.", { cause });
  }

  /** Any thrown thing as a KernelboxError: what we did not foresee is `internal`, and its own text stays in `cause`. */
  static from(thrown: unknown): KernelboxError {
    if (thrown instanceof KernelboxError) return thrown;
    if (thrown instanceof Error && thrown.name === "AbortError") return KernelboxError.cancelled(thrown);
    if (thrown instanceof Error && thrown.name === "TimeoutError") {
      return new KernelboxError("deadline_exceeded", "It took too long.", "Try again.", { cause: thrown });
    }
    return new KernelboxError(
      "internal",
      "Kernelbox failed in a way it did not expect.",
      "Try once more; if it happens again, report it with the server's log from stderr.",
      { cause: thrown },
    );
  }
}

export function isErrorCode(value: unknown): value is ErrorCode {
  return (ERROR_CODES as readonly unknown[]).includes(value);
}
