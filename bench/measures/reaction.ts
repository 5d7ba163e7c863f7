import type { Bencher } from "../client.ts";
import { floorOf } from "../floor.ts";
import { type Measure, Samples } from "../samples.ts";

const RUNS = 20;

/** How soon code that runs is heard, and how soon it stops. */
export async function reaction(bencher: Bencher): Promise<Measure> {
  const firstOutput = new Samples("call to the first streamed output");
  const interrupt = new Samples("cancel_execution of sleeping code");
  let wrong = 0;
  const context_id = await bencher.newContext();
  for (let run = 0; run < RUNS; run++) {
    const begun = performance.now();
    let heard: number | undefined;
    await bencher.run("import time; print('begun', flush=True); time.sleep(0.05)", { context_id }, () => {
      heard ??= performance.now() - begun;
    });
    if (heard === undefined) wrong++;
    else firstOutput.add(heard);
  }
  for (let run = 0; run < RUNS; run++) {
    let onBegun: () => void = () => {};
    const begun = new Promise<void>((resolve) => {
      onBegun = resolve;
    });
    const running = bencher.run("import time; print('begun', flush=True); time.sleep(60)", { context_id }, () => onBegun());
    await begun;
    await interrupt.time(() => bencher.call("cancel_execution", { context_id }));
    if ((await running).status !== "cancelled") wrong++;
  }
  await bencher.call("delete_context", { context_id });
  return {
    title: "Reaction",
    comparisons: [
      {
        measured: firstOutput,
        floor: await floorOf(bencher, "first_output", "jupyter_client: call to the first output", { ROUNDS: "20" }),
      },
      { measured: interrupt, floor: await floorOf(bencher, "interrupt", "jupyter_client: interrupt of sleeping code", { ROUNDS: "20" }) },
    ],
    wrong,
  };
}
