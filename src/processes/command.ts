import { KernelboxError } from "../errors.ts";
import { LIMITS } from "../limits.ts";

/** One of the two: a line for bash, or a program and its arguments, which no shell reads. */
export interface GivenCommand {
  command?: string | undefined;
  argv?: string[] | undefined;
}

/** What is to be run. Throws `invalid_argument` where both or neither are given, or where no program can take it. */
export function givenArguments({ command, argv }: GivenCommand): string[] {
  if ((command === undefined) === (argv === undefined)) {
    throw new KernelboxError(
      "invalid_argument",
      command === undefined ? "There is nothing to run." : "Both command and argv are given.",
      "Give command, a line for bash, or argv, a program and its arguments.",
    );
  }
  const found = command === undefined ? (argv as string[]) : ["/bin/bash", "-c", command];
  if (found.length === 0 || found[0] === "" || command?.trim() === "") {
    throw new KernelboxError("invalid_argument", "There is nothing to run.", "Give a program's name first.");
  }
  if (found.some((part) => part.includes("\0") || !part.isWellFormed())) {
    throw new KernelboxError(
      "invalid_argument",
      "The command holds a NUL character, or half a surrogate pair.",
      "Write such bytes to a file, and give its name.",
    );
  }
  const bytes = found.reduce((sum, part) => sum + Buffer.byteLength(part), 0);
  if (bytes > LIMITS.commandBytes || found.length > LIMITS.commandArguments) {
    throw new KernelboxError(
      "too_large",
      `The command has ${found.length} arguments of ${bytes} bytes; at most ${LIMITS.commandArguments} of ${LIMITS.commandBytes} are taken.`,
      "Write it to a file with write_file, and run that.",
    );
  }
  return found;
}

/** As people write it, shortened. */
export function commandLine({ command, argv }: GivenCommand): string {
  return (command ?? (argv ?? []).join(" ")).slice(0, LIMITS.commandCharacters).toWellFormed();
}
