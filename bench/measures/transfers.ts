import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { createDockerEngine } from "../../src/engines/docker/index.ts";
import { newId } from "../../src/ids.ts";
import { LIMITS } from "../../src/limits.ts";
import { createLog } from "../../src/log.ts";
import { Sandbox } from "../../src/sandboxes/sandbox.ts";
import { contextSchema, executionStartedSchema, readSchema, writtenSchema } from "../../src/sandboxes/supervisor-schemas.ts";
import { RawStream } from "../raw-stream.ts";
import { type Measure, Samples } from "../samples.ts";

const ROUNDS = 7;
const BYTES = 100_000_000;
const PIECE = Buffer.alloc(LIMITS.frameBytes, "kernelbox");
/** At least 0.8 × the speed of the raw stream. */
const RATIO_MAX = 1 / 0.8;
const docker = promisify(execFile);

/**
 * 100 MB up and down over the channel, beside the raw attached stream and `docker cp`. On the host's side the bytes come from memory and are dropped,
 * for both: no disk is measured but the sandbox's own.
 */
export async function transfers(image: string): Promise<Measure> {
  const up = new Samples("file.write of 100 MB");
  const down = new Samples("file.read of 100 MB");
  const rawUp = new Samples("raw attached stream: 100 MB up");
  const rawDown = new Samples("raw attached stream: 100 MB down");
  const copyUp = new Samples("docker cp of 100 MB into a container that does not run");
  const copyDown = new Samples("docker cp of 100 MB out of it");
  const alone = new Samples("1+1 in a context beside it, no transfer");
  const beside = new Samples("1+1 in a context beside it, while 100 MB move");
  const memory = new Samples("this process's memory while 100 MB move", "MB");
  let wrong = 0;
  const raw = await RawStream.start(image, { "kernelbox.owner": "raw" });
  const box = await BenchSandbox.start(image);
  const copies = await Copies.start(image);
  const move = async (work: () => Promise<number>) => {
    if ((await work()) !== BYTES) wrong++;
  };
  // Apart from the transfers that are timed: whoever runs code takes processors from them.
  const evaluateBeside = async (work: () => Promise<number>) => {
    let isMoving = true;
    const moving = move(work).finally(() => {
      isMoving = false;
    });
    while (isMoving) {
      await beside.time(() => box.evaluate());
      memory.add(process.memoryUsage().rss / 1e6);
    }
    await moving;
  };
  try {
    for (let round = 0; round < ROUNDS; round++) {
      await rawUp.time(() => raw.up(pieces(), BYTES));
      await up.time(() => move(() => box.write()));
      await copyUp.time(() => copies.up());
      await rawDown.time(() => raw.down(BYTES));
      await down.time(() => move(() => box.read()));
      await copyDown.time(() => copies.down());
      for (let n = 0; n < 20; n++) await alone.time(() => box.evaluate());
      await evaluateBeside(() => box.write());
      await evaluateBeside(() => box.read());
    }
  } finally {
    await Promise.all([raw.close(), box.close(), copies.close()]);
  }
  return {
    title: "Transfers",
    comparisons: [
      { measured: up, floor: rawUp, ratioMax: RATIO_MAX },
      { measured: down, floor: rawDown, ratioMax: RATIO_MAX },
      { measured: beside, floor: alone },
    ],
    others: [copyUp, copyDown, memory],
    wrong,
  };
}

function* pieces(): Generator<Buffer> {
  for (let at = 0; at < BYTES; at += PIECE.length) yield PIECE.subarray(0, Math.min(PIECE.length, BYTES - at));
}

/** A sandbox in this very process, so that the process's memory is the server's. */
class BenchSandbox {
  readonly #sandbox: Sandbox;
  readonly #destroy: () => Promise<void>;
  readonly #contextId = newId("ctx");

  private constructor(sandbox: Sandbox, destroy: () => Promise<void>) {
    this.#sandbox = sandbox;
    this.#destroy = destroy;
  }

  static async start(image: string): Promise<BenchSandbox> {
    const log = createLog("silent");
    const engine = createDockerEngine({ log });
    const { memoryBytes, workspaceBytes, cpus, pids } = LIMITS.container;
    const spec = { name: "kernelbox-bench", image, labels: { "kernelbox.owner": "bench" }, memoryBytes, workspaceBytes, cpus, pids };
    const { containerId, stream } = await engine.create(spec);
    const identity = { sandboxId: newId("sbx"), containerId, languages: ["python"] };
    const sandbox = new Sandbox(identity, { engine, log, leaseSeconds: 30, onEnd: () => {} });
    await sandbox.attach(stream);
    const box = new BenchSandbox(sandbox, () => engine.destroy(containerId));
    const context = { context_id: box.#contextId, language: "python", cwd: "/home/user" };
    await sandbox.request("context.create", context, contextSchema);
    return box;
  }

  async write(): Promise<number> {
    const params = { path: "/home/user/file", create_parents: true, append: false, overwrite: true };
    return (await this.#sandbox.request("file.write", params, writtenSchema, { body: pieces() })).size_bytes;
  }

  async read(): Promise<number> {
    let bytes = 0;
    const onData = (chunk: Buffer) => {
      bytes += chunk.length;
    };
    await this.#sandbox.request("file.read", { path: "/home/user/file" }, readSchema, { onData });
    return bytes;
  }

  async evaluate(): Promise<void> {
    const execution_id = newId("exe");
    const ended = new Promise<void>((resolve, reject) => {
      this.#sandbox.subscribe(execution_id, {
        event: (event) => event.type === "status" && event.data.state !== "running" && resolve(),
        lost: (end) => reject(new Error(end.message)),
      });
    });
    const params = { execution_id, context_id: this.#contextId, code: "1+1", timeout_s: 60 };
    await this.#sandbox.request("execution.start", params, executionStartedSchema);
    await ended;
    this.#sandbox.unsubscribe(execution_id);
  }

  async close(): Promise<void> {
    this.#sandbox.markEnded("sandbox_expired", "the bench is over");
    await this.#destroy();
  }
}

/** `docker cp` needs a root that can be written to and sees no tmpfs, so it copies to and from the root of a container of its own. */
class Copies {
  readonly #containerId: string;
  readonly #folder: string;

  private constructor(containerId: string, folder: string) {
    this.#containerId = containerId;
    this.#folder = folder;
  }

  static async start(image: string): Promise<Copies> {
    const folder = await mkdtemp(join(tmpdir(), "kernelbox-bench-"));
    await writeFile(join(folder, "up"), Buffer.alloc(BYTES, "kernelbox"));
    const { stdout } = await docker("docker", ["create", "--network", "none", "--label", "kernelbox.owner=bench", image]);
    return new Copies(stdout.trim(), folder);
  }

  async up(): Promise<void> {
    await docker("docker", ["cp", join(this.#folder, "up"), `${this.#containerId}:/file`]);
  }

  async down(): Promise<void> {
    await docker("docker", ["cp", `${this.#containerId}:/file`, join(this.#folder, "down")]);
  }

  async close(): Promise<void> {
    await docker("docker", ["rm", "--force", this.#containerId]);
    await rm(this.#folder, { recursive: true });
  }
}
