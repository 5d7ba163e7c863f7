import { mkdir, writeFile } from "node:fs/promises";
import { cpus } from "node:os";
import { dirname, join } from "node:path";
import { createDockerEngine } from "../src/engines/docker/index.ts";
import { createLog } from "../src/log.ts";
import { Bencher } from "./client.ts";
import { contexts } from "./measures/contexts.ts";
import { flood } from "./measures/flood.ts";
import { memory } from "./measures/memory.ts";
import { reaction } from "./measures/reaction.ts";
import { start } from "./measures/start.ts";
import { transfers } from "./measures/transfers.ts";
import { warm } from "./measures/warm.ts";
import { HEAD, type Measure } from "./samples.ts";

/**
 * What Kernelbox costs, each beside its floor in the same run, since machines are shared and drift. `npm run bench -- [measure …] [server flags]`;
 * every value goes to bench/out/latest.json.
 */

const OUT = join(import.meta.dirname, "out/latest.json");
const IN_ONE_SANDBOX = { contexts, warm, reaction, flood, memory };
const NAMES = ["start", ...Object.keys(IN_ONE_SANDBOX), "transfers"];

const wanted = process.argv.slice(2).filter((argument) => NAMES.includes(argument));
const flags = process.argv.slice(2).filter((argument) => !NAMES.includes(argument));
const isWanted = (name: string) => wanted.length === 0 || wanted.includes(name);

const engine = createDockerEngine({ log: createLog("silent") });
const machine = {
  cpu: `${cpus().length} × ${cpus()[0]?.model ?? "?"}`,
  node: process.versions.node,
  docker: (await engine.info()).version,
};
process.stdout.write(`${machine.cpu}, Node ${machine.node}, Docker ${machine.docker}\n`);

const measures: Measure[] = [];
const add = (measure: Measure) => {
  measures.push(measure);
  process.stdout.write(`\n${report(measure)}\n`);
};
const imageAt = flags.indexOf("--image");
const image = (imageAt === -1 ? undefined : flags[imageAt + 1]) ?? (await engine.images.refOf("full"));
if (isWanted("start")) add(await start(flags, image));
if (isWanted("transfers")) add(await transfers(image));
for (const [name, measure] of Object.entries(IN_ONE_SANDBOX)) {
  if (!isWanted(name)) continue;
  // Each in a sandbox of its own, with memory for fifty contexts.
  const bencher = await Bencher.start([...flags, "--memory", "4096"]);
  await bencher.evaluate();
  add(await measure(bencher));
  await bencher.close();
}
await mkdir(dirname(OUT), { recursive: true });
await writeFile(OUT, `${JSON.stringify({ machine, at: new Date().toISOString(), measures }, null, 1)}\n`);

function report({ title, comparisons, others, wrong }: Measure): string {
  const rows = [...new Set([...comparisons.flatMap(({ measured, floor }) => [measured, floor]), ...(others ?? [])])];
  const ratios = comparisons.map(({ measured, floor, ratioMax }) => {
    const ratio = measured.median / floor.median;
    if (ratioMax !== undefined && !(ratio <= ratioMax)) process.exitCode = 1;
    return `  ${ratio.toFixed(2)} × ${floor.name}: ${measured.name}${ratioMax === undefined ? "" : ` (at most ${ratioMax})`}`;
  });
  if (wrong > 0) process.exitCode = 1;
  return [`${title}; wrong replies: ${wrong}`, HEAD, ...rows.map((row) => row.row()), ...ratios].join("\n");
}
