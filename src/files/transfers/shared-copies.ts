import { KernelboxError } from "../../errors.ts";
import { LIMITS } from "../../limits.ts";
import type { Log } from "../../log.ts";
import { SHARED, sharedPath } from "../../sandboxes/paths.ts";
import type { Sandbox } from "../../sandboxes/sandbox.ts";
import type { Sandboxes } from "../../sandboxes/sandboxes.ts";
import { writtenSchema } from "../../sandboxes/supervisor-schemas.ts";
import type { SharedFile, SharedFiles } from "../../store/shared-files.ts";

/** A stored file stands in each sandbox of its principal under /mnt/shared: a copy, and what code does to that goes nowhere. */
export class SharedCopies {
  readonly #files: SharedFiles;
  readonly #log: Log;
  /** What is copied into a sandbox, one after the other, so that the newest content is there last. */
  readonly #work = new WeakMap<Sandbox, Promise<unknown>>();

  constructor(files: SharedFiles, log: Log) {
    this.#files = files;
    this.#log = log;
  }

  /** All that its principal has, for one that nobody uses yet. Never rejects: a sandbox without a copy is better than none, and says so. */
  async fill(sandbox: Sandbox, signal: AbortSignal): Promise<void> {
    const done = await Promise.all(this.#files.list(sandbox.principal).map((file) => this.#copy(file, sandbox, signal)));
    const missing = done.filter((isThere) => !isThere).length;
    if (missing > 0) sandbox.note(`${missing} of ${done.length} shared files could not be copied to ${SHARED}; read them by their URIs.`);
  }

  /** Into those that live. Gives the ids of sandboxes that have no copy now. */
  async spread(file: SharedFile, principal: string, sandboxes: Sandboxes): Promise<string[]> {
    const living = sandboxes.living(principal);
    const done = await Promise.all(living.map((sandbox) => this.#copy(file, sandbox)));
    return living.filter((sandbox, at) => !done[at] && sandbox.end === undefined).map(({ sandboxId }) => sandboxId);
  }

  async #copy({ fileId }: SharedFile, sandbox: Sandbox, signal?: AbortSignal): Promise<boolean> {
    const before = this.#work.get(sandbox) ?? Promise.resolve();
    const work = before.then(async () => {
      try {
        // As it is by now.
        const file = this.#files.open(fileId, sandbox.principal);
        signal?.throwIfAborted();
        const params = { path: sharedPath(file.name), mode: "644", create_parents: false, append: false, overwrite: true };
        await sandbox.request("file.write", params, writtenSchema, { body: file.read(), stallMs: LIMITS.transferStallMs, signal });
        return true;
      } catch (thrown) {
        const error = KernelboxError.from(thrown);
        this.#log.warn({ err: error, file_id: fileId, sandbox_id: sandbox.sandboxId }, "a shared file was not copied into a sandbox");
        return false;
      }
    });
    this.#work.set(sandbox, work);
    return await work;
  }
}
