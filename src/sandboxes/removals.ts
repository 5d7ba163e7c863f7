import type { Log } from "../log.ts";

/** What is to be gone from the engine: removed now, and tried again until it is where the engine does not do it. */
export class Removals {
  readonly #log: Log;
  readonly #failed = new Map<string, { what: string; remove: () => Promise<void> }>();
  readonly #underWay = new Set<Promise<void>>();

  constructor(log: Log) {
    this.#log = log;
  }

  /** Never rejects; settles when it is gone or could not be removed for now. */
  remove(what: string, id: string, remove: () => Promise<void>): Promise<void> {
    this.#failed.delete(id);
    const removal = remove()
      .catch((error) => {
        this.#failed.set(id, { what, remove });
        this.#log.error({ err: error, id }, `${what} could not be removed; it is tried again`);
      })
      .finally(() => this.#underWay.delete(removal));
    this.#underWay.add(removal);
    return removal;
  }

  /** Tries again what failed. */
  retry(): void {
    for (const [id, { what, remove }] of this.#failed) void this.remove(what, id, remove);
  }

  async settled(): Promise<void> {
    while (this.#underWay.size > 0) await Promise.all(this.#underWay);
  }
}
