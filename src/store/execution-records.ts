import { join } from "node:path";
import { LIMITS } from "../limits.ts";
import { ExecutionRecord, type RecordOwner } from "./execution-record.ts";

/**
 * The full copies of what executions said, by their id. Bounded in number and bytes: the oldest that have ended make room for what comes, also when
 * their sandbox lives; and those of a sandbox that has ended stay until then, since replies point to them. Names of files are our own ids and numbers,
 * never anything from a sandbox.
 */
export class ExecutionRecords {
  readonly #dir: string;
  readonly #records = new Map<string, ExecutionRecord>();
  readonly #forgotten = new Map<string, number>();
  readonly #removals = new Set<Promise<void>>();
  #bytes = 0;

  constructor(dir: string) {
    this.#dir = dir;
  }

  open(owner: RecordOwner): ExecutionRecord {
    while (this.#records.size >= LIMITS.executionsKept && this.#forgetOldest()) {}
    const record: ExecutionRecord = new ExecutionRecord(join(this.#dir, owner.executionId), owner, {
      take: (wanted) => this.#take(wanted),
      giveBack: (bytes) => {
        this.#bytes -= bytes;
      },
    });
    this.#records.set(owner.executionId, record);
    return record;
  }

  /** Undefined for an unknown id and for one of another principal alike. */
  find(executionId: string, principal: string): ExecutionRecord | undefined {
    const record = this.#records.get(executionId);
    return record?.principal === principal ? record : undefined;
  }

  /** What is kept of a context's executions, in the order in which they came. */
  ofContext(contextId: string, principal: string): ExecutionRecord[] {
    return [...this.#records.values()].filter((record) => record.contextId === contextId && record.principal === principal);
  }

  /** How many executions of a context made room for others. */
  forgotten(contextId: string): number {
    return this.#forgotten.get(contextId) ?? 0;
  }

  /** Of one principal, the newest last. */
  all(principal: string): ExecutionRecord[] {
    return [...this.#records.values()].filter((record) => record.principal === principal);
  }

  /** There are as many keys as there are records, so a look through these costs little. */
  withKey(contextId: string, name: string): ExecutionRecord | undefined {
    return [...this.#records.values()].find((record) => record.contextId === contextId && record.key?.name === name);
  }

  /** Forgets one that never was. */
  drop(executionId: string): void {
    this.#forget(executionId);
  }

  async close(): Promise<void> {
    for (const id of [...this.#records.keys()]) this.#forget(id);
    await Promise.all(this.#removals);
  }

  #take(wanted: number): number {
    while (LIMITS.spoolBytesPerPrincipal - this.#bytes < wanted && this.#forgetOldest()) {}
    const taken = Math.max(0, Math.min(wanted, LIMITS.spoolBytesPerPrincipal - this.#bytes));
    this.#bytes += taken;
    return taken;
  }

  /** The one that ended first: what ran for long may have been told a moment ago only. False where all that are left still run. */
  #forgetOldest(): boolean {
    let oldest: ExecutionRecord | undefined;
    for (const record of this.#records.values()) {
      if (record.endedAt !== undefined && record.endedAt < (oldest?.endedAt ?? Number.POSITIVE_INFINITY)) oldest = record;
    }
    if (oldest === undefined) return false;
    this.#forget(oldest.executionId);
    this.#countForgotten(oldest.contextId);
    return true;
  }

  /** Those that were counted last are remembered. */
  #countForgotten(contextId: string): void {
    const count = this.forgotten(contextId) + 1;
    this.#forgotten.delete(contextId);
    this.#forgotten.set(contextId, count);
    const [oldest] = this.#forgotten.keys();
    if (this.#forgotten.size > LIMITS.historiesKept && oldest !== undefined) this.#forgotten.delete(oldest);
  }

  #forget(executionId: string): void {
    const removal = this.#records.get(executionId)?.remove();
    this.#records.delete(executionId);
    if (removal === undefined) return;
    this.#removals.add(removal);
    void removal.finally(() => this.#removals.delete(removal));
  }
}
