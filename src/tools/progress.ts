import { plainText } from "../events/terminal-text.ts";
import { LIMITS } from "../limits.ts";

/** The newest line of output, not more often than a host can use it, and a sign of life when nothing was told for a while. */
export function progressOf(onProgress: (message: string) => void): { onOutput: (text: string) => void; stop: () => void } {
  const startedAt = Date.now();
  let line = "";
  let told = 0;
  let pending: NodeJS.Timeout | undefined;
  const tell = () => {
    clearTimeout(pending);
    pending = undefined;
    told = Date.now();
    alive.refresh();
    onProgress(line === "" ? `running for ${Math.round((told - startedAt) / 1_000)} s` : line);
  };
  const alive = setTimeout(tell, LIMITS.progressIntervalMs);
  return {
    onOutput: (text) => {
      const newest =
        plainText(text.slice(-4 * LIMITS.progressCharacters))
          .trimEnd()
          .split("\n")
          .at(-1)
          ?.trim() ?? "";
      if (newest === "") return;
      line = newest.slice(0, LIMITS.progressCharacters).toWellFormed();
      pending ??= setTimeout(tell, Math.max(0, told + LIMITS.progressMinIntervalMs - Date.now()));
    },
    stop: () => {
      clearTimeout(pending);
      clearTimeout(alive);
    },
  };
}

/** How far a transfer has come. */
export function transferProgress(onProgress: ((message: string) => void) | undefined): ((bytes: number) => void) | undefined {
  return onProgress === undefined ? undefined : (bytes) => onProgress(`${bytes} bytes moved`);
}
