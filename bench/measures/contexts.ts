import type { Bencher } from "../client.ts";
import { floorOf } from "../floor.ts";
import { type Measure, Samples } from "../samples.ts";

const RUNS = 15;
const PLOT = "import pandas, matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()";
/** Read by an interpreter at its start only, so such a context is no fork. */
const PLAIN = { env: { PYTHONHASHSEED: "0" } };

/** A new context, as a fork and as a plain start, beside the reference client's start of a stock kernel. */
export async function contexts(bencher: Bencher): Promise<Measure> {
  const names = { fork: "create_context, a fork", plain: "create_context, a plain start" };
  const created = { fork: new Samples(names.fork), plain: new Samples(names.plain) };
  const plotted = { fork: new Samples(`${names.fork}, pandas and a plot`), plain: new Samples(`${names.plain}, pandas and a plot`) };
  for (let run = 0; run < RUNS; run++) {
    for (const [kind, args] of [
      ["fork", {}],
      ["plain", PLAIN],
    ] as const) {
      const begun = performance.now();
      const context_id = await created[kind].time(() => bencher.newContext(args));
      await bencher.run(PLOT, { context_id });
      plotted[kind].add(performance.now() - begun);
      await bencher.call("delete_context", { context_id });
    }
  }
  const started = await floorOf(bencher, "start", "jupyter_client: a stock kernel to its first answer", { ROUNDS: "5" });
  const startedPlot = await floorOf(bencher, "start_plot", "jupyter_client: the same, pandas and a plot", { ROUNDS: "5" });
  return {
    title: "A new context",
    comparisons: [
      { measured: created.fork, floor: started, ratioMax: 0.5 },
      { measured: created.plain, floor: started },
      { measured: plotted.fork, floor: startedPlot, ratioMax: 0.5 },
      { measured: plotted.plain, floor: startedPlot },
    ],
    wrong: 0,
  };
}
