/** Returns when the promise has settled, the time is over, or the signal aborts, whichever comes first; which it was the caller sees. */
export async function settledWithin(promise: Promise<unknown>, ms: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted) return;
  let stop = () => {};
  const enough = new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, Math.max(0, ms));
    const onAbort = () => resolve();
    signal?.addEventListener("abort", onAbort, { once: true });
    stop = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
    };
  });
  try {
    await Promise.race([promise, enough]);
  } finally {
    stop();
  }
}
