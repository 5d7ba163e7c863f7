import type { Bencher } from "../client.ts";
import { floorOf } from "../floor.ts";
import { type Comparison, type Measure, Samples } from "../samples.ts";

const AT_ONCE = [1, 4, 16];
const CALLS = 240;

/** `1+1` through MCP in contexts that are warm, one call at a time in each of them. */
export async function warm(bencher: Bencher): Promise<Measure> {
  const comparisons: Comparison[] = [];
  const wrongBefore = bencher.wrong;
  for (const count of AT_ONCE) {
    const ids: string[] = [];
    while (ids.length < count) ids.push(await bencher.newContext());
    const measured = new Samples(`1+1 in ${count} contexts at once`);
    for (const context_id of ids) await bencher.evaluate({ context_id });
    const calls = async (context_id: string) => {
      for (let call = 0; call < CALLS / count; call++) await measured.time(() => bencher.evaluate({ context_id }));
    };
    await Promise.all(ids.map(calls));
    for (const context_id of ids) await bencher.call("delete_context", { context_id });
    const env = { KERNELS: String(count), ROUNDS: String(CALLS / count) };
    const floor = await floorOf(bencher, "together", `jupyter_client: 1+1 in ${count} kernels at once, reply then idle`, env);
    comparisons.push({ measured, floor, ...(count === 1 && { ratioMax: 1.6 }) });
  }
  const interactive = await floorOf(bencher, "interactive", "jupyter_client: execute_interactive", { ROUNDS: "100" });
  return {
    title: "Warm executions",
    comparisons: [...comparisons, { measured: comparisons[0]?.measured as Samples, floor: interactive }],
    wrong: bencher.wrong - wrongBefore,
  };
}
