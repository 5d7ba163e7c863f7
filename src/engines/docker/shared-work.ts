import { cancelledError } from "./errors.ts";

/** Work that several callers wait for. It is given up when the last of them has left. */
export class SharedWork<Result, Progress> {
  readonly #abort = new AbortController();
  readonly #listeners = new Set<(progress: Progress) => void>();
  readonly #done: Promise<Result>;
  /** Fulfilled in any case. Each caller hears of a failure; when all have left, nobody needs to. */
  readonly settled: Promise<void>;
  #latest: Progress | undefined;

  constructor(run: (tell: (progress: Progress) => void, signal: AbortSignal) => Promise<Result>) {
    this.#done = run((progress) => {
      this.#latest = progress;
      for (const listener of this.#listeners) listener(progress);
    }, this.#abort.signal);
    this.settled = this.#done.then(
      () => {},
      () => {},
    );
  }

  /** Nobody waits any more; whoever comes now must begin anew. */
  get isGivenUp(): boolean {
    return this.#abort.signal.aborted;
  }

  async join(onProgress: (progress: Progress) => void, signal?: AbortSignal): Promise<Result> {
    const listener = (progress: Progress) => onProgress(progress);
    this.#listeners.add(listener);
    if (this.#latest !== undefined) onProgress(this.#latest);
    let leave: (() => void) | undefined;
    const left = new Promise<never>((_, reject) => {
      leave = () => reject(cancelledError(signal?.reason));
      if (signal?.aborted) leave();
      else signal?.addEventListener("abort", leave, { once: true });
    });
    try {
      return await Promise.race([left, this.#done]);
    } finally {
      if (leave !== undefined) signal?.removeEventListener("abort", leave);
      this.#listeners.delete(listener);
      if (this.#listeners.size === 0) this.#abort.abort();
    }
  }
}
