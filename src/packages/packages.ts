import * as z from "zod";
import { KernelboxError } from "../errors.ts";
import { LIMITS } from "../limits.ts";
import { npmRegistry, packageIndexes } from "../package-indexes.ts";
import type { Sandbox } from "../sandboxes/sandbox.ts";
import type { Sandboxes } from "../sandboxes/sandboxes.ts";
import { settledWithin } from "../sandboxes/settled-within.ts";
import { installError, lookError } from "./errors.ts";
import { fetchPackages, type NamedPackage, namedPackage } from "./fetch.ts";
import { checkReach, NPM, packageSource } from "./index-hosts.ts";
import { Installation } from "./installation.ts";
import { type Manager, requestedPackages } from "./requested-packages.ts";

export interface InstallRequest {
  manager: Manager;
  packages: string[];
  timeoutSeconds: number;
  sandboxId?: string | undefined;
}

export interface Installer {
  principal: string;
  signal?: AbortSignal | undefined;
  onProgress?: ((message: string) => void) | undefined;
}

/** What came of an install. */
export interface Installed {
  installed: NamedPackage[];
  alreadyInstalled: NamedPackage[];
  /** Names of those that took the place of another version. */
  replaced: string[];
}

export type InstallReply = Installed & { sandboxId: string; durationMs: number; status: "installed" | "already_installed" | "running" };

const lookSchema = z.object({
  present: z.array(namedPackage.nullable()).max(LIMITS.installPackages),
  installed: z.array(z.unknown()).max(LIMITS.packages),
});
const installedSchema = z.object({
  installed: z.array(namedPackage).max(LIMITS.installFiles),
  replaced: z.array(z.string().max(LIMITS.installNameCharacters)).max(LIMITS.installFiles),
});

/** Installs packages in sandboxes: what is there is said at once, what is missing is fetched beside the sandbox and unpacked in it. */
export class Packages {
  readonly #sandboxes: Sandboxes;
  readonly #softDeadlineMs: number;
  readonly #settings: () => Promise<Record<string, string>>;
  /** Those under way, by sandbox and what was asked for. */
  readonly #underWay = new Map<string, Installation<Installed>>();
  /** The last of each sandbox: one at a time. */
  readonly #last = new Map<string, Promise<unknown>>();

  constructor(parts: { sandboxes: Sandboxes; softDeadlineMs: number; settings?: () => Promise<Record<string, string>> }) {
    this.#sandboxes = parts.sandboxes;
    this.#softDeadlineMs = parts.softDeadlineMs;
    this.#settings = once(parts.settings ?? (async () => ({ ...(await packageIndexes()), ...npmRegistry() })));
  }

  /** Answers at the end, or at the soft deadline, when it goes on: the same request then waits for it. */
  async install(request: InstallRequest, caller: Installer): Promise<InstallReply> {
    const startedAt = performance.now();
    const packages = requestedPackages(request.manager, request.packages);
    const { principal, signal } = caller;
    const sandbox =
      request.sandboxId === undefined
        ? await this.#sandboxes.default(principal, "make", signal)
        : this.#sandboxes.get(request.sandboxId, principal);
    const reply = (status: InstallReply["status"], done: Installed): InstallReply => {
      return { ...done, status, sandboxId: sandbox.sandboxId, durationMs: performance.now() - startedAt };
    };
    const key = JSON.stringify([sandbox.sandboxId, request.manager, [...packages].sort()]);
    let underWay = this.#wanted(key);
    if (underWay === undefined) {
      const { present, missing } = await this.#look(sandbox, request.manager, packages, signal);
      if (missing.length === 0) return reply("already_installed", { installed: [], alreadyInstalled: present, replaced: [] });
      checkReach(sandbox.network, packageSource(request.manager, await this.#settings()));
      underWay = this.#wanted(key) ?? this.#begin(key, sandbox, { ...request, packages });
    }
    const leave = underWay.join(caller.onProgress);
    try {
      await settledWithin(underWay.done, this.#softDeadlineMs - (performance.now() - startedAt), signal);
    } finally {
      leave(signal?.aborted === true);
    }
    if (signal?.aborted) throw KernelboxError.cancelled(signal.reason);
    if (!underWay.isOver) return reply("running", { installed: [], alreadyInstalled: [], replaced: [] });
    const done = await underWay.done;
    return reply(done.installed.length === 0 ? "already_installed" : "installed", done);
  }

  /** The one under way, but for one that its last caller has taken back and that is about to end. */
  #wanted(key: string): Installation<Installed> | undefined {
    const found = this.#underWay.get(key);
    return found?.signal.aborted === true ? undefined : found;
  }

  #begin(key: string, sandbox: Sandbox, request: InstallRequest): Installation<Installed> {
    const { sandboxId } = sandbox;
    const turn = this.#last.get(sandboxId) ?? Promise.resolve();
    const begun = new Installation<Installed>(async (installation) => {
      await installation.whileWanted(turn);
      return await this.#install(sandbox, request, installation);
    });
    this.#underWay.set(key, begun);
    const last = begun.done
      .catch(() => {})
      .then(async () => {
        if (this.#underWay.get(key) === begun) this.#underWay.delete(key);
        await turn;
        if (this.#last.get(sandboxId) === last) this.#last.delete(sandboxId);
      });
    this.#last.set(sandboxId, last);
    return begun;
  }

  async #install(
    sandbox: Sandbox,
    { manager, packages, timeoutSeconds }: InstallRequest,
    installation: Installation<Installed>,
  ): Promise<Installed> {
    // A timer takes whole milliseconds.
    const deadlineMs = Math.ceil(timeoutSeconds * 1_000) + LIMITS.installSlackMs;
    const late = AbortSignal.timeout(deadlineMs);
    const signal = AbortSignal.any([installation.signal, late]);
    // The one before may have brought some of these.
    const { present, missing, installed } = await this.#look(sandbox, manager, packages, signal);
    if (missing.length === 0) return { installed: [], alreadyInstalled: present, replaced: [] };
    const source = packageSource(manager, await this.#settings());
    installation.tell(`fetching from ${source.hosts.join(", ")}`);
    const brought = await this.#sandboxes
      .withFetcher(
        sandbox,
        async ({ stream, proxy }) => {
          const request = {
            manager,
            packages: missing,
            network: sandbox.network,
            proxy,
            indexes: source.indexes,
            installed,
            timeoutSeconds,
          };
          const fetched = await fetchPackages(stream, request);
          if (fetched.sizes.length === 0) return { installed: [], replaced: [] };
          const bytes = fetched.sizes.reduce((sum, size) => sum + size, 0);
          installation.tell(`installing ${fetched.packages.length} packages, ${bytes} bytes`);
          const params = { manager, registry: NPM, packages: fetched.packages, sizes: fetched.sizes, timeout_s: timeoutSeconds };
          const call = { signal, deadlineMs, body: fetched.body };
          return await sandbox.request("package.install", params, installedSchema, call);
        },
        signal,
      )
      .catch((thrown) => {
        if (late.aborted && !installation.signal.aborted) throw KernelboxError.from(late.reason);
        throw installError(thrown);
      });
    return { ...brought, alreadyInstalled: present };
  }

  /** Which of the packages are there, which are not, and what the user has installed. */
  async #look(sandbox: Sandbox, manager: Manager, packages: string[], signal: AbortSignal | undefined) {
    if (manager === "npm" && !sandbox.languages.includes("javascript")) {
      throw new KernelboxError(
        "unsupported",
        "The image has no Deno, so no npm packages.",
        "Use pip, or ask the user to start the server with --image full.",
      );
    }
    const call = { signal, deadlineMs: LIMITS.lookForPackagesMs };
    const told = await sandbox.request("package.look", { manager, registry: NPM, packages }, lookSchema, call).catch((thrown) => {
      throw lookError(thrown);
    });
    return {
      present: told.present.filter((each) => each !== null),
      missing: packages.filter((_, at) => told.present[at] == null),
      // Whoever made a folder in the sandbox chose its name; what is no name and version is left out.
      installed: told.installed.flatMap((each) => namedPackage.safeParse(each).data ?? []),
    };
  }
}

function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => {
    made ??= make();
    return made;
  };
}
