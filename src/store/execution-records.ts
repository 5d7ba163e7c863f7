import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { MimeBundle, MimeValue } from "../events/event.ts";
import { preferredType } from "../events/mime-preference.ts";
import { LIMITS } from "../limits.ts";
import { SpooledText } from "./spooled-text.ts";

/**
 * The full copy of what executions said, by their id: both text streams raw, and every form of every output. Bounded per execution and over all of
 * them; the oldest are forgotten first. Names of files are our own ids and numbers, never anything from a sandbox.
 */
export class ExecutionRecords {
  readonly #dir: string;
  readonly #records = new Map<string, ExecutionRecord>();
  readonly #budget = { bytes: 0 };

  constructor(dir: string) {
    this.#dir = dir;
  }

  async open(owner: { executionId: string; sandboxId: string; principal: string }): Promise<ExecutionRecord> {
    while (this.#records.size >= LIMITS.executionsKept) {
      const oldest = this.#records.keys().next().value as string;
      await this.#forget(oldest);
    }
    const dir = join(this.#dir, owner.executionId);
    const record = new ExecutionRecord(dir, owner, this.#budget);
    this.#records.set(owner.executionId, record);
    return record;
  }

  /** Undefined for an unknown id and for one of another principal alike. */
  find(executionId: string, principal: string): ExecutionRecord | undefined {
    const record = this.#records.get(executionId);
    return record?.principal === principal ? record : undefined;
  }

  async removeSandbox(sandboxId: string): Promise<void> {
    for (const [id, record] of this.#records) if (record.sandboxId === sandboxId) await this.#forget(id);
  }

  async close(): Promise<void> {
    for (const id of [...this.#records.keys()]) await this.#forget(id);
  }

  async #forget(executionId: string): Promise<void> {
    const record = this.#records.get(executionId);
    this.#records.delete(executionId);
    await record?.remove();
  }
}

export interface StoredOutput {
  type: string;
  bytes: Buffer;
}

export class ExecutionRecord {
  readonly executionId: string;
  readonly sandboxId: string;
  readonly principal: string;
  readonly stdout: SpooledText;
  readonly stderr: SpooledText;
  /** The execution's last known result as `get_execution` would tell it. */
  snapshot: (() => unknown) | undefined;
  readonly #dir: string;
  readonly #budget: { bytes: number };
  readonly #outputs = new Map<number, string[]>();
  #bytes = 0;
  #dirMade: Promise<unknown> | undefined;
  #omittedOutputs = 0;

  constructor(dir: string, owner: { executionId: string; sandboxId: string; principal: string }, budget: { bytes: number }) {
    this.#dir = dir;
    this.#budget = budget;
    this.executionId = owner.executionId;
    this.sandboxId = owner.sandboxId;
    this.principal = owner.principal;
    const makeDir = () => this.#makeDir();
    const take = (wanted: number) => this.#take(wanted, true);
    this.stdout = new SpooledText(join(dir, "stdout"), makeDir, take);
    this.stderr = new SpooledText(join(dir, "stderr"), makeDir, take);
  }

  get omittedOutputs(): number {
    return this.#omittedOutputs;
  }

  /** Keeps every form of one output, or replaces them. A form that the bound has no room for is counted, not cut. */
  async putOutput(n: number, mime: MimeBundle): Promise<void> {
    await this.#makeDir();
    const types: string[] = [];
    const first = preferredType(mime);
    const forms = [...mime].sort(([a], [b]) => Number(b === first) - Number(a === first));
    for (const [type, value] of forms) {
      const bytes = bytesOf(value);
      if (bytes === undefined || this.#take(bytes.length, false) === 0) {
        this.#omittedOutputs++;
        continue;
      }
      await writeFile(this.#fileOf(n, types.length), bytes, { mode: 0o600 });
      types.push(type);
    }
    this.#outputs.set(n, types);
  }

  /** One form of an output: the wanted type, else the richest. Undefined where it is not kept. */
  async readOutput(n: number, type?: string): Promise<StoredOutput | undefined> {
    const types = this.#outputs.get(n);
    const index = type === undefined ? 0 : (types?.indexOf(type) ?? -1);
    const found = types?.[index];
    return found === undefined ? undefined : { type: found, bytes: await readFile(this.#fileOf(n, index)) };
  }

  async remove(): Promise<void> {
    await this.stdout.close();
    await this.stderr.close();
    this.#budget.bytes -= this.#bytes;
    this.#bytes = 0;
    if (this.#dirMade !== undefined) await rm(this.#dir, { recursive: true, force: true });
  }

  #fileOf(n: number, index: number): string {
    return join(this.#dir, `output-${n}-${index}`);
  }

  #makeDir(): Promise<unknown> {
    this.#dirMade ??= mkdir(this.#dir, { recursive: true, mode: 0o700 });
    return this.#dirMade;
  }

  #take(wanted: number, partly: boolean): number {
    const room = Math.max(0, Math.min(LIMITS.spoolBytesPerExecution - this.#bytes, LIMITS.spoolBytesPerPrincipal - this.#budget.bytes));
    const taken = wanted <= room ? wanted : partly ? room : 0;
    this.#bytes += taken;
    this.#budget.bytes += taken;
    return taken;
  }
}

function bytesOf(value: MimeValue): Buffer | undefined {
  if ("bytes" in value) return value.bytes;
  if ("omittedBytes" in value) return undefined;
  return Buffer.from("text" in value ? value.text : (JSON.stringify(value.json) ?? "null"));
}
