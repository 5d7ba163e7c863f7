import { KernelboxError } from "../errors.ts";
import { abortable } from "../sandboxes/abortable.ts";

/** One piece of work that several callers may wait for. It goes on without them, unless the last of them takes the call back. */
export class Installation<T> {
  readonly done: Promise<T>;
  readonly #stop = new AbortController();
  readonly #listeners = new Set<(message: string) => void>();
  #waiters = 0;
  #isOver = false;

  constructor(work: (installation: Installation<T>) => Promise<T>) {
    // Joined before it begins.
    this.done = Promise.resolve()
      .then(async () => await work(this))
      .finally(() => {
        this.#isOver = true;
      });
    // Whoever waited may have left.
    this.done.catch(() => {});
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** Aborts when nobody wants it any more. */
  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  /** Gives what to call when the caller stops waiting, and whether because they took the call back. */
  join(onProgress: ((message: string) => void) | undefined): (isTakenBack: boolean) => void {
    this.#waiters++;
    const listener = (message: string) => onProgress?.(message);
    this.#listeners.add(listener);
    return (isTakenBack) => {
      this.#waiters--;
      this.#listeners.delete(listener);
      if (isTakenBack && this.#waiters === 0) this.#stop.abort(KernelboxError.cancelled());
    };
  }

  tell(message: string): void {
    for (const listener of this.#listeners) listener(message);
  }

  /** Waits for something that goes on without us. */
  async whileWanted<W>(pending: Promise<W>): Promise<W> {
    return await abortable(pending, this.signal);
  }
}
