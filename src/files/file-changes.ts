import { setTimeout as sleep } from "node:timers/promises";
import { KernelboxError } from "../errors.ts";
import { LIMITS } from "../limits.ts";
import type { Log } from "../log.ts";
import type { Sandbox } from "../sandboxes/sandbox.ts";
import type { Sandboxes } from "../sandboxes/sandboxes.ts";
import { changesSchema } from "../sandboxes/supervisor-schemas.ts";

export interface FileChange {
  path: string;
  change: "created" | "modified" | "removed";
}

export interface ChangeListener {
  principal: string;
  /** What changed in one sandbox; where it is not complete, anything may have. */
  onChanges: (sandboxId: string, changes: FileChange[], isComplete: boolean) => void;
  /** Another set of sandboxes lives. */
  onSandboxes: () => void;
}

export interface Listening {
  /** Finds sandboxes that were made or ended since; settles when changes in all of them are told from now on, or cannot be. */
  look(): Promise<void>;
  close(): void;
}

interface Following {
  stop: AbortController;
  begun: Promise<void>;
}

/** Tells listeners what changes in the sandboxes of their principal: one long request at a time to each sandbox, as long as somebody listens. */
export class FileChanges {
  readonly #sandboxes: Sandboxes;
  readonly #log: Log;
  readonly #listeners = new Map<ChangeListener, string>();
  readonly #followed = new Map<Sandbox, Following>();

  constructor(sandboxes: Sandboxes, log: Log) {
    this.#sandboxes = sandboxes;
    this.#log = log;
  }

  listen(listener: ChangeListener): Listening {
    this.#listeners.set(listener, this.#idsOf(listener.principal));
    return {
      look: async () => await this.#look(listener),
      close: () => {
        this.#listeners.delete(listener);
        this.#letGo();
      },
    };
  }

  async #look(listener: ChangeListener): Promise<void> {
    const known = this.#listeners.get(listener);
    if (known === undefined) return;
    const living = this.#sandboxes.living(listener.principal);
    for (const sandbox of living) if (!this.#followed.has(sandbox)) this.#followed.set(sandbox, this.#follow(sandbox));
    this.#letGo();
    const ids = this.#idsOf(listener.principal);
    this.#listeners.set(listener, ids);
    await Promise.all(living.map((sandbox) => this.#followed.get(sandbox)?.begun));
    // Told once the new ones are followed, or what changes between the host's look and that would be missed.
    if (ids !== known && this.#listeners.has(listener)) listener.onSandboxes();
  }

  #idsOf(principal: string): string {
    return this.#sandboxes
      .living(principal)
      .map(({ sandboxId }) => sandboxId)
      .join();
  }

  /** Stops following what has ended, and what nobody listens to any more. */
  #letGo(): void {
    const principals = new Set([...this.#listeners.keys()].map(({ principal }) => principal));
    for (const [sandbox, { stop }] of this.#followed) {
      if (sandbox.end === undefined && principals.has(sandbox.principal)) continue;
      stop.abort();
      this.#log.debug({ sandbox_id: sandbox.sandboxId }, "changes of files are told no more");
      this.#followed.delete(sandbox);
    }
  }

  #follow(sandbox: Sandbox): Following {
    const stop = new AbortController();
    let begin = () => {};
    const begun = new Promise<void>((resolve) => {
      begin = resolve;
    });
    void this.#ask(sandbox, stop.signal, begin).finally(begin);
    return { stop, begun };
  }

  /** Never rejects. Whatever a sandbox answers, it is not asked more often than at the interval. */
  async #ask(sandbox: Sandbox, signal: AbortSignal, begin: () => void): Promise<void> {
    let via: string | undefined;
    let hasMissed = false;
    for (let since = 0; !signal.aborted && sandbox.end === undefined; ) {
      try {
        const params = { since, wait_s: since === 0 ? 0 : LIMITS.changesWaitSeconds };
        const told = await sandbox.request("file.changes", params, changesSchema, { signal });
        if (signal.aborted) return;
        // The first answer says from where on it is told: what was before is not known, and need not be where it is the very first.
        if (since !== 0 ? told.changes.length > 0 || !told.is_complete : hasMissed) this.#tell(sandbox, told.changes, told.is_complete);
        if (told.via !== via) this.#log.debug({ sandbox_id: sandbox.sandboxId, via: told.via }, "changes of files are told");
        via = told.via;
        since = told.seq;
        hasMissed = false;
        begin();
      } catch (thrown) {
        const { code } = KernelboxError.from(thrown);
        if (signal.aborted || sandbox.end !== undefined) return;
        this.#log.warn({ code, sandbox_id: sandbox.sandboxId }, "a sandbox did not say what changes in it");
        if (code === "unsupported") return;
        begin();
        since = 0;
        hasMissed = true;
        await sleep(LIMITS.changesRetryMs, undefined, { ref: false, signal }).catch(() => {});
      }
      await sleep(LIMITS.changesIntervalMs, undefined, { ref: false, signal }).catch(() => {});
    }
  }

  #tell(sandbox: Sandbox, changes: FileChange[], isComplete: boolean): void {
    for (const listener of this.#listeners.keys()) {
      if (listener.principal === sandbox.principal) listener.onChanges(sandbox.sandboxId, changes, isComplete);
    }
  }
}
