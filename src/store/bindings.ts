import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Log } from "../log.ts";

/** Whose a sandbox is. */
export interface Binding {
  sandboxId: string;
  principal: string;
  containerId: string;
}

/**
 * What was bound when sandboxes were claimed, a file each: so that it outlives this process, and that a container, which was made before anybody
 * owned it, need not say it. A file appears whole or not at all. The names are our own ids.
 */
export class Bindings {
  readonly #dir: string;
  readonly #log: Log;
  /** One change after the other, so that a removal finds what was to be added before. */
  #work: Promise<void> = Promise.resolve();

  constructor(dir: string, log: Log) {
    this.#dir = dir;
    this.#log = log;
  }

  /** Settles when it is on the disk. Never rejects: without it the sandbox is nobody's to a later server, and works all the same in this one. */
  async add({ sandboxId, principal, containerId }: Binding): Promise<void> {
    const record = { sandbox_id: sandboxId, principal, container_id: containerId, claimed_at: new Date().toISOString() };
    await this.#enqueue(async () => {
      await mkdir(this.#dir, { recursive: true, mode: 0o700 });
      const unfinished = this.#path(sandboxId, "new");
      await writeFile(unfinished, JSON.stringify(record), { mode: 0o600 });
      await rename(unfinished, this.#path(sandboxId, "json"));
    });
  }

  /** For when the sandbox has ended. */
  remove(sandboxId: string): void {
    void this.#enqueue(async () => await rm(this.#path(sandboxId, "json"), { force: true }));
  }

  #path(sandboxId: string, ending: "new" | "json"): string {
    return join(this.#dir, `${sandboxId}.${ending}`);
  }

  #enqueue(change: () => Promise<void>): Promise<void> {
    this.#work = this.#work.then(change).catch((error) => this.#log.warn({ err: error }, "whose a sandbox is could not be stored"));
    return this.#work;
  }
}
