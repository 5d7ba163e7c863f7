import { KernelboxError } from "../errors.ts";
import { LIMITS } from "../limits.ts";

/** Environment variables as a caller may set them. */
export function checkEnv(env: Record<string, string> | undefined): void {
  if (env === undefined) return;
  const entries = Object.entries(env);
  const bytes = entries.reduce((sum, [name, value]) => sum + Buffer.byteLength(name) + Buffer.byteLength(value), 0);
  if (entries.length > LIMITS.envVariables || bytes > LIMITS.envBytes) {
    throw new KernelboxError(
      "invalid_argument",
      `env has ${entries.length} variables of ${bytes} bytes; at most ${LIMITS.envVariables} of ${LIMITS.envBytes} bytes are taken.`,
      "Write larger values to a file.",
    );
  }
  if (entries.some(([name, value]) => !/^[A-Za-z_][A-Za-z0-9_]*$/.test(name) || value.includes("\0"))) {
    throw new KernelboxError(
      "invalid_argument",
      "A name in env is not a variable name, or a value contains NUL.",
      "Use letters, digits and underscores, not beginning with a digit.",
    );
  }
}
