import type { Bencher } from "../client.ts";
import { type Measure, Samples } from "../samples.ts";

const RUNS = 3;
const MEGABYTES = 100;
const CODE = `import sys\nline = 'x' * 999 + '\\n'\nfor _ in range(${MEGABYTES * 1_000}): sys.stdout.write(line)`;
/** The same bytes through a pipe, which is the least that a kernel's output passes. */
const PIPE = `import subprocess, time\nbegun = time.perf_counter()\nsubprocess.run(['head', '-c', '${MEGABYTES}000000', '/dev/zero'], stdout=subprocess.PIPE)\n${MEGABYTES} / (time.perf_counter() - begun)`;

/** A flood of text, and what a neighbour waits meanwhile. */
export async function flood(bencher: Bencher): Promise<Measure> {
  const speed = new Samples(`${MEGABYTES} MB of stdout`, "MB/s");
  const pipe = new Samples("the same through a pipe", "MB/s");
  const beside = new Samples("1+1 of a neighbour during the flood");
  const alone = new Samples("1+1 of a neighbour alone");
  const wrongBefore = bencher.wrong;
  let wrong = 0;
  const [flooding, neighbour] = [await bencher.newContext(), await bencher.newContext()];
  for (let run = 0; run < RUNS; run++) {
    for (let call = 0; call < 50; call++) await alone.time(() => bencher.evaluate({ context_id: neighbour }));
    const begun = performance.now();
    let isOver = false;
    const running = bencher.run(CODE, { context_id: flooding }).finally(() => {
      isOver = true;
    });
    while (!isOver) await beside.time(() => bencher.evaluate({ context_id: neighbour }));
    if ((await running).status !== "ok") wrong++;
    speed.add(MEGABYTES / ((performance.now() - begun) / 1_000));
    pipe.add((await bencher.run(PIPE, { context_id: flooding })).result_json);
  }
  for (const context_id of [flooding, neighbour]) await bencher.call("delete_context", { context_id });
  return {
    title: "A flood and its neighbour",
    comparisons: [
      { measured: speed, floor: pipe },
      { measured: beside, floor: alone },
    ],
    wrong: wrong + bencher.wrong - wrongBefore,
  };
}
