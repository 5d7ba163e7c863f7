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

  /** False where all that are left still run. */
  #forgetOldest(): boolean {
    for (const [id, record] of this.#records) {
      if (record.outcome === undefined) continue;
      this.#forget(id);
      return true;
    }
    return false;
  }

  #forget(executionId: string): void {
    const removal = this.#records.get(executionId)?.remove();
    this.#records.delete(executionId);
    if (removal === undefined) return;
    this.#removals.add(removal);
    void removal.finally(() => this.#removals.delete(removal));
  }
}
