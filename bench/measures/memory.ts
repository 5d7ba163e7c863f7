import type { Bencher } from "../client.ts";
import { type Measure, Samples } from "../samples.ts";

const COUNTS = [1, 10, 50];
/** Of each kernel: private and proportional memory, in MB. Those that are forked ahead have no other threads and are left out. */
const CODE = `
import os, re
rows = []
for name in filter(str.isdigit, os.listdir('/proc')):
    try:
        if open(f'/proc/{name}/comm').read().strip() != 'python-kernel': continue
        roll = dict(re.findall(r'^(\\w+): +(\\d+) kB', open(f'/proc/{name}/smaps_rollup').read(), re.M))
        rows.append([(int(roll['Private_Clean']) + int(roll['Private_Dirty'])) / 1000, int(roll['Pss']) / 1000])
    except OSError: pass
rows
`;

/** What an idle context costs when there are so many, beside a plain start's. */
export async function memory(bencher: Bencher): Promise<Measure> {
  const idle: { own: Samples; pss: Samples }[] = [];
  const ids: string[] = [];
  for (const count of COUNTS) {
    while (ids.length < count) ids.push(await bencher.newContext());
    const rows = (await bencher.run(CODE)).result_json as [number, number][];
    const name = `idle context of ${count}`;
    idle.push({
      own: new Samples(
        `${name}: private`,
        "MB",
        rows.map(([own]) => own),
      ),
      pss: new Samples(
        `${name}: proportional (PSS)`,
        "MB",
        rows.map(([, pss]) => pss),
      ),
    });
  }
  for (const context_id of ids) await bencher.call("delete_context", { context_id });
  const context_id = await bencher.newContext({ env: { PYTHONHASHSEED: "0" } });
  const own = "import re\nroll = dict(re.findall(r'^(\\w+): +(\\d+) kB', open('/proc/self/smaps_rollup').read(), re.M))\n";
  const plain = (
    await bencher.run(`import pandas, matplotlib.pyplot\n${own}(int(roll['Private_Clean']) + int(roll['Private_Dirty'])) / 1000`, {
      context_id,
    })
  ).result_json as number;
  await bencher.call("delete_context", { context_id });
  const floor = new Samples("a plain start with pandas and pyplot: private", "MB", [plain]);
  return {
    title: "Memory",
    comparisons: idle.map(({ own: measured }) => ({ measured, floor })),
    others: idle.map(({ pss }) => pss),
    wrong: 0,
  };
}
