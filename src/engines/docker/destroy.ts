import { setTimeout as sleep } from "node:timers/promises";
import type Docker from "dockerode";
import { KernelboxError } from "../../errors.ts";
import { LIMITS } from "../../limits.ts";
import { answered, statusOf } from "./errors.ts";

/** Kills and removes, by id or name, and returns when the engine does not know it any more. Fine when it is gone, or about to be. */
export async function destroyContainer(docker: Docker, idOrName: string, deadlineMs: number = LIMITS.destroyMs): Promise<void> {
  const container = docker.getContainer(idOrName);
  const deadline = Date.now() + deadlineMs;
  let pollMs: number = LIMITS.destroyPollMs.first;
  let last: unknown;
  while (Date.now() < deadline) {
    try {
      const options = { force: true, v: true };
      await answered("removing a container", (abortSignal) => container.remove({ ...options, abortSignal }), {
        deadlineMs: deadline - Date.now(),
      });
      return;
    } catch (error) {
      const status = statusOf(error);
      if (status === 404) return;
      last = error;
      // A timer may be a millisecond early by this clock.
      if (Date.now() + 1 >= deadline) break;
      // 409: its own end, or somebody else, removes it right now. 500: a mount or a process was still busy. Both pass.
      if (status !== 409 && status !== 500) throw error;
    }
    await sleep(pollMs);
    pollMs = Math.min(pollMs * 2, LIMITS.destroyPollMs.max);
  }
  throw new KernelboxError(
    "engine_unavailable",
    `The Docker engine did not remove a container within ${deadlineMs} ms.`,
    `Remove it by hand: docker rm -f ${/^[\w.-]{1,128}$/.test(idOrName) ? idOrName.slice(0, 64) : "ID"}`,
    { cause: last },
  );
}
