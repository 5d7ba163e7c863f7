import { createDockerEngine } from "../../src/engines/docker/index.ts";
import { LIMITS } from "../../src/limits.ts";
import { createLog } from "../../src/log.ts";
import { Bencher } from "../client.ts";
import { type Measure, Samples } from "../samples.ts";

const RUNS = 5;

/** From a server's process to its first result, cold and out of a pool, beside the engine's own create and start. */
export async function start(flags: string[], image: string): Promise<Measure> {
  const cold = new Samples("server process to first result");
  const created = new Samples("docker create + start");
  const claimed = new Samples("claim from the pool to first result");
  const warm = new Samples("the next result in it");
  let wrong = 0;
  for (let run = 0; run < RUNS; run++) {
    await cold
      .time(async () => {
        const bencher = await Bencher.start(flags);
        await bencher.evaluate();
        wrong += bencher.wrong;
        return bencher;
      })
      .then((bencher) => bencher.close());
    await createAndStart(image, created);
    const pooled = await Bencher.start([...flags, "--pool", "1"]);
    // Long enough for it to fill, on a machine that has nothing else to do.
    await new Promise((resolve) => setTimeout(resolve, 8_000));
    await claimed.time(() => pooled.evaluate());
    await warm.time(() => pooled.evaluate());
    wrong += pooled.wrong;
    await pooled.close();
  }
  return {
    title: "Start",
    comparisons: [
      { measured: cold, floor: created },
      { measured: claimed, floor: warm },
    ],
    wrong,
  };
}

async function createAndStart(image: string, samples: Samples): Promise<void> {
  const engine = createDockerEngine({ log: createLog("silent"), command: ["/bin/sleep", "60"] });
  const { memoryBytes, workspaceBytes, cpus, pids } = LIMITS.container;
  const spec = { name: "kernelbox-bench", image, labels: { "kernelbox.owner": "bench" }, memoryBytes, workspaceBytes, cpus, pids };
  const { containerId } = await samples.time(() => engine.create(spec));
  await engine.destroy(containerId);
}
