import { KernelboxError } from "../errors.ts";

/** The pieces of a body, none of which may be waited for longer than this. Whoever leaves early, or is told to, lets the body know without waiting for it. */
export async function* withinStall(
  body: AsyncIterable<Uint8Array>,
  stallMs: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  const pieces = body[Symbol.asyncIterator]();
  let isOver = false;
  let giveUp = (_error: KernelboxError) => {};
  const onAbort = () => giveUp(KernelboxError.cancelled(signal?.reason));
  signal?.addEventListener("abort", onAbort, { once: true });
  try {
    while (true) {
      const next = await new Promise<IteratorResult<Uint8Array>>((resolve, reject) => {
        giveUp = reject;
        if (signal?.aborted) return onAbort();
        const timer = setTimeout(() => reject(stalled(stallMs)), stallMs);
        pieces
          .next()
          .then(resolve, reject)
          .finally(() => clearTimeout(timer));
      });
      if (next.done === true) {
        isOver = true;
        return;
      }
      yield next.value;
    }
  } finally {
    signal?.removeEventListener("abort", onAbort);
    // A generator that is stuck answers its return only when it is not stuck any more.
    if (!isOver) void Promise.resolve(pieces.return?.()).catch(() => {});
  }
}

function stalled(stallMs: number): KernelboxError {
  return new KernelboxError("deadline_exceeded", `No byte of the transfer came for ${stallMs} ms, so it was given up.`, "Try again.");
}
