import { KernelboxError } from "../errors.ts";
import { quoted } from "../events/quoted.ts";
import { LIMITS } from "../limits.ts";

/** The supervisor's refusals about processes, in words of ours. `program` is what the caller wanted to run. */
export function processError(thrown: unknown, program: string): KernelboxError {
  const error = KernelboxError.from(thrown);
  const { details } = error;
  if (details?.sandbox_message === undefined) return error;
  const told = words(error, program);
  return told === undefined ? error : new KernelboxError(error.code, told[0], told[1], { cause: error, details });
}

function words({ code, details }: KernelboxError, program: string): [message: string, hint: string] | undefined {
  const name = quoted(program.slice(0, LIMITS.commandCharacters));
  if (details?.part === "cwd") {
    return code === "not_found"
      ? ["There is no such folder to run it in.", "Make it with make_directory, or leave out cwd for /home/user."]
      : [
          "cwd is no folder that can be used: it is a file, or lies outside /home/user, /tmp and /mnt/shared.",
          "Leave it out for /home/user.",
        ];
  }
  if (details?.part === "command") {
    if (code === "not_found")
      return [
        `There is no program ${name}.`,
        "Check its name with `command -v`; for a line with pipes or built-ins use command, not argv.",
      ];
    if (code === "permission_denied") return [`${name} may not be run.`, "Make it executable (chmod +x), or give it to its interpreter."];
  }
  if (code === "limit_exceeded" && details?.processes !== undefined) {
    return [
      `There are ${LIMITS.processesPerSandbox} processes in this sandbox already.`,
      "End some with kill_process; list_processes shows them.",
    ];
  }
  if (code === "limit_exceeded")
    return ["The sandbox has no room for another process.", "End some with kill_process; list_processes shows them."];
  if (code === "not_found") return ["The process is not there any more.", "list_processes shows what runs."];
  if (details?.part === "signal") return ["There is no such signal.", "Use a name like TERM, INT, HUP, USR1, STOP, CONT or KILL."];
  if (details?.part === "terminal") return ["Only a process that was started with pty has a terminal, while it runs.", "Leave out resize."];
  return undefined;
}
