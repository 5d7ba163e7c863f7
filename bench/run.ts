import { readFile } from "node:fs/promises";
import { cpus } from "node:os";
import { join } from "node:path";
import { Client } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import * as z from "zod";
import { createDockerEngine } from "../src/engines/docker/index.ts";
import { LIMITS } from "../src/limits.ts";
import { createLog } from "../src/log.ts";
import { HEAD, Samples } from "./samples.ts";

/**
 * What Kernelbox costs beside its floors, in one run and in turns, since machines are shared and drift: cold start to the first result, a warm `1+1` through
 * MCP, and below them the engine's own create and start, and the reference client's round trip in the same container.
 */

const ROOT = join(import.meta.dirname, "..");
const FLAGS = process.argv.slice(2);
const COLD_RUNS = 5;
const ROUNDS = 3;
const WARM_RUNS = 100;
/** What a warm call through MCP may cost beside the reference client alone. */
const WARM_RATIO_MAX = 1.5;

const floorSchema = z.object({ interactive: z.array(z.number()), shell_then_idle: z.array(z.number()) });

const cold = new Samples("cold: server process to first result");
const started = new Samples("  floor: docker create + start");
const warm = new Samples("warm: 1+1 through MCP over stdio");
const interactive = new Samples("  floor: jupyter_client, execute_interactive");
const shell = new Samples("  floor: jupyter_client, reply then idle");
let wrong = 0;

async function main(): Promise<void> {
  const engine = createDockerEngine({ log: createLog("silent"), command: ["/bin/sleep", "60"] });
  const info = await engine.info();
  const [cpu] = cpus();
  process.stdout.write(`${cpus().length} × ${cpu?.model ?? "?"}, Node ${process.versions.node}, Docker ${info.version}\n\n`);
  const image = imageOf() ?? (await engine.images.refOf("full"));
  for (let run = 0; run < COLD_RUNS; run++) {
    const begun = performance.now();
    const client = await connect();
    await evaluate(client);
    cold.add(performance.now() - begun);
    await client.close();
    await createAndStart(engine, image);
  }
  const client = await connect();
  await evaluate(client);
  const floorCode = await readFile(join(import.meta.dirname, "floor_jupyter_client.py"), "utf8");
  for (let round = 0; round < ROUNDS; round++) {
    for (let run = 0; run < WARM_RUNS; run++) {
      const begun = performance.now();
      await evaluate(client);
      warm.add(performance.now() - begun);
    }
    const reply = await client.callTool({ name: "execute_code", arguments: { code: floorCode } });
    const floor = floorSchema.parse((reply.structuredContent as { result_json?: unknown } | undefined)?.result_json);
    interactive.add(...floor.interactive);
    shell.add(...floor.shell_then_idle);
  }
  await client.close();
  report();
}

function report(): void {
  const ratio = warm.at(0.5) / shell.at(0.5);
  process.stdout.write(`${[HEAD, ...[cold, started, warm, interactive, shell].map((samples) => samples.row())].join("\n")}\n\n`);
  process.stdout.write(`wrong replies: ${wrong} of ${warm.values.length + COLD_RUNS + 1}\n`);
  process.stdout.write(`warm p50 / jupyter_client, reply then idle, p50: ${ratio.toFixed(2)} (at most ${WARM_RATIO_MAX})\n`);
  process.stdout.write(`warm p50 / jupyter_client, execute_interactive, p50: ${(warm.at(0.5) / interactive.at(0.5)).toFixed(2)}\n`);
  process.stdout.write(`cold p50 / create + start p50: ${(cold.at(0.5) / started.at(0.5)).toFixed(2)}\n`);
  if (wrong > 0 || ratio > WARM_RATIO_MAX) process.exitCode = 1;
}

async function connect(): Promise<Client> {
  const client = new Client({ name: "kernelbox-bench", version: "1" }, { versionNegotiation: { mode: "auto" } });
  const args = [join(ROOT, "dist/main.js"), "--log-level", "error", ...FLAGS];
  await client.connect(new StdioClientTransport({ command: process.execPath, args }));
  return client;
}

async function evaluate(client: Client): Promise<void> {
  const reply = await client.callTool({ name: "execute_code", arguments: { code: "1+1" } }, { timeout: 120_000 });
  if ((reply.structuredContent as { result?: unknown } | undefined)?.result !== "2") wrong++;
}

async function createAndStart(engine: ReturnType<typeof createDockerEngine>, image: string): Promise<void> {
  const { container } = LIMITS;
  const begun = performance.now();
  const { containerId } = await engine.create({
    name: "kernelbox-bench",
    image,
    labels: { "kernelbox.owner": "bench" },
    memoryBytes: container.memoryBytes,
    workspaceBytes: container.workspaceBytes,
    cpus: container.cpus,
    pids: container.pids,
  });
  started.add(performance.now() - begun);
  await engine.destroy(containerId);
}

function imageOf(): string | undefined {
  const at = FLAGS.indexOf("--image");
  return at === -1 ? undefined : FLAGS[at + 1];
}

await main();
