import { mkdir, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import * as z from "zod";

/**
 * The main job, as an agent host does it: starts the built server over stdio and works through a real data set in several steps that build on each
 * other: the wine recognition data that ships with scikit-learn (178 Italian wines, 13 chemical measurements, three growers). Leaves a chart and a CSV in out/quickstart,
 * or where KERNELBOX_QUICKSTART_OUT says. Arguments go to the server.
 */

const ROOT = join(import.meta.dirname, "..");
const OUT = process.env.KERNELBOX_QUICKSTART_OUT ?? join(ROOT, "out", "quickstart");
const FLAGS = process.argv.slice(2);

const STEPS: { title: string; code: string }[] = [
  {
    title: "load the wine data that ships with scikit-learn",
    code: `
from sklearn.datasets import load_wine
data = load_wine(as_frame=True)
wine = data.frame.rename(columns={"od280/od315_of_diluted_wines": "dilution"})
wine["grower"] = data.target_names[wine.pop("target")]
print(f"{len(wine)} wines, {wine.shape[1] - 1} measurements, growers {sorted(wine.grower.unique())}")`,
  },
  {
    title: "clean it: duplicates, missing values, outliers of each grower's own",
    code: `
before = len(wine)
wine = wine.drop_duplicates().dropna()
values = wine.drop(columns="grower")
spread = values.groupby(wine.grower).transform(lambda column: (column - column.median()).abs() / (column.quantile(.75) - column.quantile(.25)))
clean = wine[(spread < 4).all(axis=1)].reset_index(drop=True)
print(f"{before - len(wine)} duplicates or gaps, {len(wine) - len(clean)} outliers taken out; {len(clean)} wines stay")`,
  },
  {
    title: "fit a classifier and score it on wines that it has not seen",
    code: `
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
X, y = clean.drop(columns="grower"), clean.grower
model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
clean["predicted"] = cross_val_predict(model, X, y, cv=StratifiedKFold(5, shuffle=True, random_state=0))
accuracy = float((clean.predicted == clean.grower).mean())
print(f"five-fold accuracy {accuracy:.1%}, {int((clean.predicted != clean.grower).sum())} of {len(clean)} wrong")
accuracy`,
  },
  {
    title: "draw what tells the growers apart",
    code: `
import matplotlib.pyplot as plt
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.6), dpi=110, layout="constrained")
colours = dict(zip(sorted(clean.grower.unique()), ["#4C72B0", "#DD8452", "#55A868"]))
for grower, rows in clean.groupby("grower"):
    left.scatter(rows.flavanoids, rows.proline, s=28, alpha=.75, color=colours[grower], label=grower.replace("_", " "))
wrong = clean[clean.predicted != clean.grower]
left.scatter(wrong.flavanoids, wrong.proline, s=110, facecolors="none", edgecolors="black", label="misjudged")
left.set(xlabel="Flavanoids", ylabel="Proline (mg/l)", title="Two of thirteen measurements")
left.legend(frameon=False)
weights = model.fit(X, y)[-1].coef_
strength = abs(weights).mean(axis=0)
order = strength.argsort()
right.barh(X.columns[order].str.replace("_", " "), strength[order], color="#8172B3")
right.set(xlabel="Mean weight of the standardised measurement", title=f"What the classifier uses (accuracy {accuracy:.1%})")
for axis in (left, right):
    axis.spines[["top", "right"]].set_visible(False)
plt.show()`,
  },
  {
    title: "write the cleaned table with its predictions",
    code: `
clean.to_csv("wine_clean.csv", index=False)
f"{clean.shape[0]} rows, {clean.shape[1]} columns"`,
  },
];

const replySchema = z.object({
  structuredContent: z
    .object({
      status: z.string(),
      stdout: z.string(),
      result: z.string().nullable(),
      error: z.object({ traceback: z.string() }).nullable(),
    })
    .optional(),
  content: z.array(z.looseObject({ type: z.string(), text: z.string().optional(), data: z.string().optional() })),
  isError: z.boolean().optional(),
  _meta: z.looseObject({}).optional(),
});
type Reply = z.infer<typeof replySchema>;

const startedAt = performance.now();

async function main(): Promise<void> {
  await mkdir(OUT, { recursive: true });
  const client = new Client({ name: "kernelbox-quickstart", version: "1" }, { versionNegotiation: { mode: "auto" } });
  const server = { command: process.execPath, args: [join(ROOT, "dist/main.js"), "--log-level", "warn", ...FLAGS] };
  // Whatever fails, also the connecting itself, ends the server.
  try {
    await timed("start the server and connect", async () => {
      await client.connect(new StdioClientTransport(server));
      return `${(await client.listTools()).tools.length} tools`;
    });
    let chart: Buffer | undefined;
    for (const { title, code } of STEPS) {
      await timed(title, async () => {
        const reply = await call(client, "execute_code", { code: code.trim() });
        const { structuredContent: result } = reply;
        if (result?.status !== "ok") throw new Error(`The code ended as ${result?.status}:\n${result?.error?.traceback ?? ""}`);
        const picture = reply.content.find((block) => block.type === "image")?.data;
        if (picture !== undefined) chart = Buffer.from(picture, "base64");
        return [result.stdout.trim(), result.stdout === "" ? result.result : null].filter(Boolean).join("; ");
      });
    }
    await timed("save the chart", async () => await saveChart(chart));
    await timed("fetch and save the table", async () => await saveTable(client));
  } finally {
    await client.close();
  }
  process.stdout.write(`\nDone in ${seconds(startedAt)}: see ${relative(process.cwd(), OUT) || OUT}\n`);
}

async function saveChart(chart: Buffer | undefined): Promise<string> {
  if (chart === undefined || chart.toString("latin1", 1, 4) !== "PNG" || chart.length < 10_000) throw new Error("No chart came back.");
  await writeFile(join(OUT, "chart.png"), chart);
  return `chart.png, ${chart.readUInt32BE(16)} × ${chart.readUInt32BE(20)} px, ${chart.length} bytes`;
}

/** A file may be longer than one reply: each says where to go on. */
async function saveTable(client: Client): Promise<string> {
  let table = "";
  let offset: number | null = 1;
  while (offset !== null) {
    const reply = await client.callTool({ name: "read_file", arguments: { path: "wine_clean.csv", offset } });
    const part = z.object({ content: z.string(), next_offset: z.number().nullable() }).parse(reply.structuredContent);
    table += part.content;
    offset = part.next_offset;
  }
  const rows = table.trim().split("\n");
  const columns = rows[0]?.split(",").length ?? 0;
  if (rows.length < 150 || columns !== 15) throw new Error(`The table has ${rows.length} lines and ${columns} columns.`);
  await writeFile(join(OUT, "wine_clean.csv"), table);
  return `wine_clean.csv, ${rows.length - 1} rows, ${columns} columns`;
}

/** Calls a tool; while the image is still being built, waits as long as the server says. */
async function call(client: Client, name: string, args: Record<string, unknown>): Promise<Reply> {
  while (true) {
    const reply = replySchema.parse(await client.callTool({ name, arguments: args }, { timeout: 120_000 }));
    if (reply.isError !== true) return reply;
    const error = z.object({ details: z.object({ retry_after_s: z.number() }) }).safeParse(reply._meta?.["kernelbox/error"]);
    const text = reply.content.map((block) => block.text ?? "").join("\n");
    if (!error.success) throw new Error(text);
    process.stdout.write(`  ${text.split("\n")[0]}\n`);
    await sleep(error.data.details.retry_after_s * 1_000);
  }
}

let steps = 0;
async function timed(title: string, work: () => Promise<string>): Promise<void> {
  const begun = performance.now();
  process.stdout.write(`${++steps}. ${title}\n`);
  const said = await work();
  process.stdout.write(`   ${said}  [${seconds(begun)}]\n`);
}

function seconds(since: number): string {
  return `${((performance.now() - since) / 1_000).toFixed(2)} s`;
}

try {
  await main();
} catch (error) {
  process.stderr.write(`\nThe quickstart did not get through: ${error instanceof Error ? error.message : String(error)}\n`);
  process.stderr.write("Look at everything with: node dist/main.js doctor\n");
  process.exitCode = 1;
}
