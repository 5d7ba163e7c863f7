import * as z from "zod";

/** Why variables are gone, and the facts that are known of it. They come from a sandbox, so they are numbers and words of a list. */

export const LOSS_REASONS = ["timeout_kill", "out_of_memory", "exited", "killed", "restarted", "sandbox_expired", "sandbox_lost"] as const;
export type LossReason = (typeof LOSS_REASONS)[number];

const bytes = z.number().int().nonnegative().nullish();
export const deathFacts = {
  exit_code: z.number().int().min(0).max(255).nullish(),
  exit_signal: z.number().int().min(0).max(128).nullish(),
  /** Of the whole sandbox; the peak since it began. */
  memory_limit_bytes: bytes,
  memory_peak_bytes: bytes,
  /** Who had the kernel killed. */
  by: z.enum(["cancel", "delete"]).nullish(),
  /** A new one was tried and would not start. */
  no_kernel: z.boolean().nullish(),
};
export const lossSchema = z.object({
  reason: z.enum(LOSS_REASONS),
  incarnation: z.number().int().nonnegative(),
  at: z.string().max(40),
  ...deathFacts,
});
export type Loss = z.infer<typeof lossSchema>;
export type Death = Partial<Pick<Loss, keyof typeof deathFacts>> & { reason: LossReason };

export function lossMessage(death: Death): string {
  return `All variables are lost: ${lossCause(death)}.${next(death)}`;
}

export function earlierLossMessage(death: Death): string {
  return `Variables from before this call are lost: ${lossCause(death)}. This code ran on a new kernel.`;
}

/** Code that nobody waited for may have run since, and what that made is there. */
export function leftLossMessage(death: Death, executionId: string, isItsOwn: boolean): string {
  const whose = isItsOwn ? `execution ${executionId} and before it` : `before execution ${executionId}`;
  return `Variables from ${whose} are lost: ${lossCause(death)}. This code ran on a newer kernel.`;
}

/** With a sandbox go its contexts; a context of one's own does not come back. */
export function sandboxLossMessage(why: string): string {
  return `All variables and files are lost: the sandbox is gone (${why}). Call again without ids to get a new one.`;
}

export function earlierSandboxLossMessage(why: string): string {
  return `Variables and files from before this call are lost: the sandbox is gone (${why}). This code ran in a new one.`;
}

/** The same for what runs beside the contexts. */
export function earlierSandboxLossNotice(why: string): string {
  return `Files and processes from before are lost: the sandbox is gone (${why}). This ran in a new one.`;
}

function next({ by, no_kernel: hasNone }: Death): string {
  if (by === "delete") return "";
  return hasNone ? " A new kernel would not start; the error says why." : " The context works on with a new kernel.";
}

export function lossCause(death: Death): string {
  switch (death.reason) {
    case "timeout_kill":
      return "the code did not stop when it was interrupted, so its kernel was killed";
    case "out_of_memory":
      return `the kernel used more memory than the sandbox has and was killed${memory(death)}`;
    case "exited":
      return `the kernel's process ended${death.exit_code == null ? "" : ` with exit code ${death.exit_code}`}`;
    case "killed":
      return killed(death);
    case "restarted":
      return "restart_context was called, which replaced its kernel";
    case "sandbox_expired":
      return "the sandbox had reached its end of life";
    case "sandbox_lost":
      return "the sandbox ended unexpectedly; its files are gone too";
  }
}

function killed({ by, exit_signal: signal }: Death): string {
  if (by === "delete") return "the context was deleted";
  if (by === "cancel") return "the code was cancelled and did not stop when it was interrupted, so its kernel was killed";
  if (!signal) return "the kernel was killed";
  const name = SIGNALS[signal];
  return `the kernel was killed by signal ${signal}${name === undefined ? "" : ` (${name})`}`;
}

function memory({ memory_limit_bytes: limit, memory_peak_bytes: peak }: Death): string {
  const facts = [...(limit ? [`limit ${memoryText(limit)}`] : []), ...(peak ? [`the sandbox's peak ${memoryText(peak)}`] : [])];
  return facts.length === 0 ? "" : ` (${facts.join(", ")})`;
}

export function memoryText(byteCount: number): string {
  const mib = byteCount / 2 ** 20;
  return mib < 1024 ? `${Math.round(mib)} MiB` : `${(mib / 1024).toFixed(1)} GiB`;
}

/** Linux's numbers of those that end a process; the server may run on another system. */
const SIGNALS: Readonly<Record<number, string>> = {
  1: "SIGHUP",
  2: "SIGINT",
  3: "SIGQUIT",
  4: "SIGILL",
  5: "SIGTRAP",
  6: "SIGABRT",
  7: "SIGBUS",
  8: "SIGFPE",
  9: "SIGKILL",
  10: "SIGUSR1",
  11: "SIGSEGV",
  12: "SIGUSR2",
  13: "SIGPIPE",
  14: "SIGALRM",
  15: "SIGTERM",
  24: "SIGXCPU",
  25: "SIGXFSZ",
  31: "SIGSYS",
};
