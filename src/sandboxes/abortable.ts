import { KernelboxError } from "../errors.ts";

/** Stops waiting when the caller does, while what it waits for goes on for others. */
export async function abortable<T>(pending: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return await pending;
  if (signal.aborted) throw KernelboxError.cancelled(signal.reason);
  return await new Promise<T>((resolve, reject) => {
    const onAbort = () => reject(KernelboxError.cancelled(signal.reason));
    signal.addEventListener("abort", onAbort, { once: true });
    pending.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}
