import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { LIMITS } from "../limits.ts";
import { SpooledText } from "./spooled-text.ts";

export interface ProcessOwner {
  processId: string;
  sandboxId: string;
  principal: string;
  /** What was run, for people. */
  command: string;
}

/** The full copy of what one process said, as far as the bounds allow. */
export interface ProcessRecord extends ProcessOwner {
  stdout: SpooledText;
  stderr: SpooledText;
}

interface Kept {
  record: ProcessRecord;
  bytes: number;
  isOver: boolean;
}

/**
 * What processes said, by their id. Bounded in number and bytes: the oldest that are over make room for what comes, also when their sandbox lives;
 * those of a sandbox that has ended stay until then. Names of files are our own ids, never anything from a sandbox.
 */
export class ProcessRecords {
  readonly #dir: string;
  /** In the order in which they began. */
  readonly #kept = new Map<string, Kept>();
  readonly #removals = new Set<Promise<void>>();
  #bytes = 0;

  constructor(dir: string) {
    this.#dir = dir;
  }

  open(owner: ProcessOwner): ProcessRecord {
    while (this.#kept.size >= LIMITS.processesKept && this.#forgetOldest()) {}
    const dir = join(this.#dir, owner.processId);
    const makeDir = () => mkdir(dir, { recursive: true, mode: 0o700 });
    const budget = {
      take: (wanted: number) => this.#take(owner.processId, wanted),
      giveBack: (bytes: number) => this.#giveBack(owner.processId, bytes),
    };
    const record = {
      ...owner,
      stdout: new SpooledText(join(dir, "stdout"), makeDir, budget),
      stderr: new SpooledText(join(dir, "stderr"), makeDir, budget),
    };
    this.#kept.set(owner.processId, { record, bytes: 0, isOver: false });
    return record;
  }

  /** Undefined for an unknown id and for one of another principal alike. */
  find(processId: string, principal: string): ProcessRecord | undefined {
    const record = this.#kept.get(processId)?.record;
    return record?.principal === principal ? record : undefined;
  }

  /** Of one principal, the newest first. */
  ids(principal: string): string[] {
    return [...this.#kept.values()]
      .filter(({ record }) => record.principal === principal)
      .map(({ record }) => record.processId)
      .reverse();
  }

  /** Says that nothing more comes: from now on others may need the room. */
  end(processId: string): void {
    const kept = this.#kept.get(processId);
    if (kept !== undefined) kept.isOver = true;
  }

  /** Forgets one that never was, or that made room. */
  drop(processId: string): void {
    const kept = this.#kept.get(processId);
    if (kept === undefined) return;
    this.#kept.delete(processId);
    this.#bytes -= kept.bytes;
    const removal = rm(join(this.#dir, processId), { recursive: true, force: true }).catch(() => {});
    this.#removals.add(removal);
    void removal.finally(() => this.#removals.delete(removal));
  }

  async close(): Promise<void> {
    for (const id of [...this.#kept.keys()]) this.drop(id);
    await Promise.all(this.#removals);
  }

  #take(processId: string, wanted: number): number {
    const kept = this.#kept.get(processId);
    if (kept === undefined) return 0;
    while (LIMITS.processesBytes - this.#bytes < wanted && this.#forgetOldest()) {}
    const room = Math.min(LIMITS.processBytes - kept.bytes, LIMITS.processesBytes - this.#bytes);
    const taken = Math.max(0, Math.min(wanted, room));
    kept.bytes += taken;
    this.#bytes += taken;
    return taken;
  }

  #giveBack(processId: string, bytes: number): void {
    const kept = this.#kept.get(processId);
    if (kept === undefined) return;
    kept.bytes -= bytes;
    this.#bytes -= bytes;
  }

  #forgetOldest(): boolean {
    for (const [processId, { isOver }] of this.#kept) {
      if (!isOver) continue;
      this.drop(processId);
      return true;
    }
    return false;
  }
}
