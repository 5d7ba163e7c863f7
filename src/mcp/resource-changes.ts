import { KernelboxError } from "../errors.ts";
import type { FileChange, Listening } from "../files/file-changes.ts";
import { unknownResource } from "../files/sources.ts";
import { parseUri, type ResourceAddress } from "../files/uris.ts";
import { LIMITS } from "../limits.ts";
import type { Services } from "../tools/define-tool.ts";

/** What a host wants to be told. In the era of 2025 there is one of these, which always wants the list; in that of 2026 one for each thing it listens to. */
interface Ask {
  list: boolean;
  uris: Set<string>;
}

interface Subscribed {
  address: ResourceAddress;
  /** What is kept of an execution has a version, by which it is seen to change. A file has its absolute path instead: its changes are told. */
  version: string | undefined;
}

export interface Notifier {
  updated: (uri: string) => void;
  listChanged: () => void;
}

/** Tells the host of one connection what it asked for, coalesced. While it has asked for nothing, nothing runs. */
export class ResourceChanges {
  readonly #services: Services;
  readonly #principal: string;
  readonly #notifier: Notifier;
  readonly #asks = new Map<string | number, Ask>();
  readonly #subscribed = new Map<string, Subscribed>();
  readonly #changed = new Set<string>();
  #isListChanged = false;
  #kept = "";
  #listening: Listening | undefined;
  #interval: NodeJS.Timeout | undefined;
  #flushing: NodeJS.Timeout | undefined;
  #flushedAt = Number.NEGATIVE_INFINITY;
  #isClosed = false;

  constructor(services: Services, principal: string, notifier: Notifier) {
    this.#services = services;
    this.#principal = principal;
    this.#notifier = notifier;
  }

  /** From now on changes of the list and of these resources are told; settles when none can be missed. Names that nothing can have are left out. */
  async ask(key: string | number, wanted: { list: boolean; uris: readonly string[] }): Promise<void> {
    if (this.#isClosed) return;
    this.#asks.set(key, { list: wanted.list, uris: this.#asks.get(key)?.uris ?? new Set() });
    for (const uri of wanted.uris) {
      if (this.#subscribed.size >= LIMITS.subscriptions) break;
      try {
        this.#add(key, uri);
      } catch {
        // Outside of what can be read.
      }
    }
    this.#begin();
    await this.#look();
  }

  withdraw(key: string | number): void {
    const ask = this.#asks.get(key);
    this.#asks.delete(key);
    for (const uri of ask?.uris ?? []) this.#drop(uri);
    if (this.#asks.size === 0) this.#stop();
  }

  /** One resource more for an ask. */
  async subscribe(key: string, uri: string): Promise<void> {
    const ask = this.#asks.get(key);
    if (ask?.uris.has(uri)) return;
    if (this.#subscribed.size >= LIMITS.subscriptions) {
      throw new KernelboxError(
        "limit_exceeded",
        `The host has subscribed to ${this.#subscribed.size} resources, as many as it may.`,
        "Unsubscribe from those that are not needed.",
      );
    }
    if (ask === undefined) this.#asks.set(key, { list: false, uris: new Set() });
    if (!this.#add(key, uri)) throw unknownResource();
    this.#begin();
    await this.#look();
  }

  unsubscribe(key: string, uri: string): void {
    if (this.#asks.get(key)?.uris.delete(uri)) this.#drop(uri);
  }

  close(): void {
    this.#isClosed = true;
    this.#asks.clear();
    this.#subscribed.clear();
    this.#stop();
  }

  /** False for what is not a name of ours, or of nothing that this principal has. */
  #add(key: string | number, uri: string): boolean {
    const named = uri.length > LIMITS.uriCharacters ? undefined : parseUri(uri);
    if (named === undefined) return false;
    const address = this.#services.sources.placeOf(named, this.#principal);
    const version = this.#versionOf(address);
    if (version === undefined) return false;
    this.#asks.get(key)?.uris.add(uri);
    if (!this.#subscribed.has(uri)) this.#subscribed.set(uri, { address, version });
    return true;
  }

  /** Another ask may want it still. */
  #drop(uri: string): void {
    if ([...this.#asks.values()].some(({ uris }) => uris.has(uri))) return;
    this.#subscribed.delete(uri);
    this.#changed.delete(uri);
  }

  #begin(): void {
    if (this.#listening !== undefined) return;
    this.#listening = this.#services.changes.listen({
      principal: this.#principal,
      onChanges: (sandboxId, changes, isComplete) => this.#onChanges(sandboxId, changes, isComplete),
      onSandboxes: () => this.#onSandboxes(),
    });
    this.#kept = this.#listOfKept();
    this.#interval = setInterval(() => void this.#look(), LIMITS.changesIntervalMs);
    this.#interval.unref();
  }

  #stop(): void {
    this.#listening?.close();
    this.#listening = undefined;
    clearInterval(this.#interval);
    clearTimeout(this.#flushing);
    this.#flushing = undefined;
    this.#changed.clear();
    this.#isListChanged = false;
  }

  /** Sandboxes and what executions leave are this server's own: looking at them costs less than being told. */
  async #look(): Promise<void> {
    const kept = this.#listOfKept();
    if (kept !== this.#kept) this.#mark(undefined);
    this.#kept = kept;
    for (const [uri, subscribed] of this.#subscribed) {
      if (subscribed.address.kind === "file") continue;
      const version = this.#versionOf(subscribed.address);
      if (version !== subscribed.version) this.#mark(uri);
      subscribed.version = version;
    }
    await this.#listening?.look();
  }

  /** Undefined for what is not there, but for files of sandboxes that are: whoever waits for one may hear that it is made. */
  #versionOf(address: ResourceAddress): string | undefined {
    if (address.kind !== "file") return this.#services.sources.version(address, this.#principal);
    return this.#services.tree.ownPath(address, this.#principal);
  }

  /** Notebooks and shared files. */
  #listOfKept(): string {
    const notebooks = this.#services.sources.notebooks(this.#principal).map(({ contextId }) => contextId);
    const shared = this.#services.identified.shared(this.#principal).map(({ fileId }) => fileId);
    return [...notebooks, ...shared].sort().join();
  }

  #onChanges(sandboxId: string, changes: FileChange[], isComplete: boolean): void {
    if (!isComplete || changes.some(({ change, path }) => change !== "modified" && !path.startsWith("/tmp/"))) this.#mark(undefined);
    const paths = new Set(changes.map(({ path }) => path));
    for (const [uri, { address, version = "" }] of this.#subscribed) {
      if (address.kind !== "file" || address.sandboxId !== sandboxId) continue;
      if (!isComplete || hasChanged(version, paths)) this.#mark(uri);
    }
  }

  /** What was in a sandbox that has ended changes no more. */
  #onSandboxes(): void {
    this.#mark(undefined);
    const living = new Set(this.#services.tree.sandboxIds(this.#principal));
    for (const [uri, { address }] of this.#subscribed) {
      if (address.kind !== "file" || living.has(address.sandboxId)) continue;
      for (const { uris } of this.#asks.values()) uris.delete(uri);
      this.#drop(uri);
    }
  }

  /** A resource has changed, or the list. Told at once, but not more often than at the interval, and the last change always. */
  #mark(uri: string | undefined): void {
    if (uri === undefined) this.#isListChanged ||= [...this.#asks.values()].some(({ list }) => list);
    else this.#changed.add(uri);
    if (this.#flushing !== undefined || (!this.#isListChanged && this.#changed.size === 0)) return;
    const waitMs = Math.max(0, this.#flushedAt + LIMITS.changesIntervalMs - performance.now());
    this.#flushing = setTimeout(() => this.#flush(), waitMs);
    this.#flushing.unref();
  }

  #flush(): void {
    this.#flushing = undefined;
    this.#flushedAt = performance.now();
    const changed = [...this.#changed];
    this.#changed.clear();
    const isListChanged = this.#isListChanged;
    this.#isListChanged = false;
    if (isListChanged) this.#notifier.listChanged();
    for (const uri of changed) this.#notifier.updated(uri);
  }
}

/** The file itself, or a folder that it lies in. */
function hasChanged(path: string, changed: ReadonlySet<string>): boolean {
  for (let at = path.length; at > 0; at = path.lastIndexOf("/", at - 1)) if (changed.has(path.slice(0, at))) return true;
  return false;
}
