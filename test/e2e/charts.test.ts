import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CHART_TYPE } from "../../src/events/chart.ts";
import { LIMITS } from "../../src/limits.ts";
import { startClient, type TestClient } from "../helpers/client.ts";
import { guardAgainstLeaks } from "../helpers/containers.ts";

guardAgainstLeaks();

let client: TestClient;
beforeAll(async () => {
  client = await startClient();
  await client.run("import matplotlib.pyplot as plt, pandas as pd, numpy as np");
});
afterAll(async () => await client.close());

describe("figures come back as data", () => {
  it.each([
    ["shown", "plt.plot([1, 2], [3, 4], label='a'); plt.title('T'); plt.show()"],
    ["left open until the cell's end", "plt.plot([1, 2], [3, 4], label='a'); plt.title('T'); None"],
    [
      "as the last expression",
      "from matplotlib.figure import Figure\nf = Figure(); f.subplots().plot([1, 2], [3, 4], label='a'); f.axes[0].set_title('T')\nf",
    ],
    [
      "by display()",
      "from matplotlib.figure import Figure\nf = Figure(); f.subplots().plot([1, 2], [3, 4], label='a'); f.axes[0].set_title('T')\ndisplay(f)",
    ],
  ])("when they are %s, in both lanes, with the picture", async (_, code) => {
    const reply = await client.run(code);
    const [output] = reply.structured.outputs;
    expect(reply.structured.outputs).toHaveLength(1);
    expect(output).toMatchObject({
      type: "image/png",
      chart: { kind: "line", title: "T", x_label: "", y_scale: "linear", series: [{ label: "a", x: [1, 2], y: [3, 4] }] },
    });
    expect(output.mime_types).not.toContain(CHART_TYPE);
    expect(reply.images).toHaveLength(1);
    expect(reply.text).toContain('chart\nline chart "T"\nseries "a": 2 points\n  x | y\n  1 | 3\n  2 | 4\n');
    expect(reply.structured).toMatchObject({ stdout: "", stderr: "", notices: [] });
    const whole = await client.readResource(`${output.uri}/${CHART_TYPE}`);
    expect(JSON.parse(whole.text ?? "")).toEqual(output.chart);
  });

  it("several in one cell, and subplots", async () => {
    const reply = await client.run(
      "plt.hist([1, 1, 2, 5], bins=[0, 2, 6])\nplt.show()\nplt.boxplot([1, 2, 3, 20])\nplt.show()\n" +
        "fig, axes = plt.subplots(1, 2)\nfig.suptitle('Both')\naxes[0].bar(['p', 'q'], [1, 2])\naxes[1].pie([1, 3], labels=['r', 's'])\nplt.show()",
    );
    const charts = reply.structured.outputs.map((output: { chart: unknown }) => output.chart);
    expect(charts).toMatchObject([
      { kind: "histogram", series: [{ edges: [0, 2, 6], counts: [2, 2] }] },
      { kind: "box", series: [{ median: 2.5, outliers: [20] }] },
      { kind: "figure", title: "Both", charts: [{ kind: "bar" }, { kind: "pie" }] },
    ]);
    for (const line of ["0 to 2 | 2", '2 charts "Both"', "p | 1", "s | 75 %"]) expect(reply.text).toContain(line);
  });

  it("not when they are only saved: then their file is listed", async () => {
    const reply = await client.run("plt.plot([1, 2])\nplt.savefig('only.png')\nplt.close()");
    expect(reply.structured.outputs).toEqual([]);
    expect(reply.structured.files).toMatchObject([{ path: "/home/user/only.png", change: "created" }]);
  });

  it("an animation is a file", async () => {
    const reply = await client.run(
      "from matplotlib.animation import FuncAnimation, PillowWriter\nfig, ax = plt.subplots()\nline, = ax.plot([0, 1], [0, 1])\n" +
        "FuncAnimation(fig, lambda n: (line.set_ydata([0, n]),), frames=3).save('moves.gif', writer=PillowWriter(fps=5))\nplt.close()",
    );
    expect(reply.structured).toMatchObject({ status: "ok", outputs: [], files: [{ path: "/home/user/moves.gif" }] });
    const read = await client.call("read_file", { path: "moves.gif" });
    expect(read.images[0]?.mimeType).toBe("image/gif");
  });

  it("is null, and nothing else is lost, where a figure cannot be read or what says to be its data is none", async () => {
    const reply = await client.run(
      "class Odd(plt.Figure):\n    def get_suptitle(self): raise RuntimeError('no')\n" +
        "odd = plt.figure(FigureClass=Odd)\nodd.gca().plot([1])\nplt.show()\n" +
        `display({'text/plain': 'mine', '${CHART_TYPE}': {'kind': 'line', 'title': ['x'] * 5}}, raw=True)\n` +
        `display({'text/plain': 'mine', '${CHART_TYPE}': {'kind': 'line', 'title': 'x' * 90_000, 'series': []}}, raw=True)`,
    );
    expect(reply.structured).toMatchObject({ status: "ok", stderr: "" });
    expect(reply.structured.outputs).toMatchObject([{ type: "image/png", chart: null }, { text: "mine", chart: null }, { chart: null }]);
  });

  it("bounded: fifty figures of many points each", async () => {
    const reply = await client.run(
      "for n in range(50):\n    plt.figure(figsize=(1, 1)); plt.plot(np.random.rand(5_000)); plt.title(f'no {n}'); plt.show()",
    );
    const { outputs, notices } = reply.structured;
    expect(reply.bytes).toBeLessThanOrEqual(LIMITS.replyBytes);
    expect(outputs).toHaveLength(50);
    const told = outputs.filter((output: { chart: unknown }) => output.chart !== null).length;
    expect(told).toBeGreaterThan(2);
    expect(outputs[0].chart.series[0]).toMatchObject({ points_total: 5_000 });
    expect(notices.join()).toContain(`The data of the last ${50 - told} charts do not fit`);
    const [, uri] = /path "(kernelbox:[^"]+)"/.exec(notices.join()) ?? [];
    expect(JSON.parse((await client.call("read_file", { path: uri })).structured.content)).toMatchObject({ title: `no ${told}` });
  });
});

describe("plotly figures", () => {
  it.each([
    ["show()", "fig.show()"],
    ["the last expression", "fig"],
  ])("by %s come as their JSON and as a chart, without a network and without a page", async (_, last) => {
    const reply = await client.run(
      `import plotly.graph_objects as go\nfig = go.Figure(go.Bar(x=['a', 'b'], y=np.array([1.5, 2])), {'title': {'text': 'P'}})\n${last}`,
    );
    expect(reply.structured).toMatchObject({
      stdout: "",
      stderr: "",
      outputs: [
        {
          type: "application/vnd.plotly.v1+json",
          chart: { kind: "bar", title: "P", series: [{ categories: ["a", "b"], values: [1.5, 2] }] },
        },
      ],
    });
    expect(reply.text).toContain('bar chart "P"; x: (category)');
    expect(reply.bytes).toBeLessThan(20_000);
    const whole = await client.readResource(reply.structured.outputs[0].uri);
    expect(JSON.parse(whole.text ?? "").data[0]).toMatchObject({ type: "bar", x: ["a", "b"] });
  });
});

describe("every form of an output", () => {
  it("is kept, and read by its media type", async () => {
    const forms: Record<string, unknown> = {
      "text/html": "<p>h</p>",
      "text/markdown": "# m",
      "text/latex": "$l$",
      "application/json": { j: 1 },
      "image/svg+xml": "<svg xmlns='http://www.w3.org/2000/svg'/>",
      "application/vnd.plotly.v1+json": { data: [], layout: {} },
      "application/vnd.vega.v5+json": { marks: [] },
      "application/vnd.vegalite.v5+json": { mark: "bar" },
      "application/geo+json": { type: "Point" },
      "application/javascript": "1",
      "application/vnd.jupyter.widget-view+json": { model_id: "w" },
    };
    const reply = await client.run(`import json\ndisplay({**json.loads('''${JSON.stringify(forms)}'''), 'text/plain': 'plain'}, raw=True)`);
    const [output] = reply.structured.outputs;
    expect(output).toMatchObject({ type: "image/svg+xml", text: "plain" });
    expect(output.mime_types.toSorted()).toEqual([...Object.keys(forms), "text/plain"].toSorted());
    for (const [type, value] of Object.entries(forms)) {
      const { text } = await client.readResource(`${output.uri}/${type}`);
      expect(typeof value === "string" ? text : JSON.parse(text ?? "")).toEqual(value);
    }
    expect(reply.text).toContain("append /TYPE to its uri");
    expect((await client.call("read_file", { path: `${output.uri}/text/html` })).structured.content).toBe("<p>h</p>");
    expect((await client.call("read_file", { path: `${output.uri}/text/css` })).error?.code).toBe("not_found");
  });

  it("that has words of its own reaches a reader of text", async () => {
    const reply = await client.run(
      "from IPython.display import HTML, Markdown, JSON\ndisplay(HTML('<table><tr><td>a<td>b</td></tr></table>'))\ndisplay(Markdown('# head'))\n" +
        "display(JSON({'k': 1}))\npd.DataFrame({'share': [0.5, 0.25]}, index=['p', 'q']).style.format('{:.0%}').background_gradient()",
    );
    expect(reply.structured.outputs.map((output: { text: string }) => output.text)).toEqual([
      "a | b",
      "# head",
      '{"k":1}',
      "   share\np    50%\nq    25%",
    ]);
    expect(reply.structured.outputs[3]).toMatchObject({ type: "text/html" });
    expect(reply.structured.result).toBe("   share\np    50%\nq    25%");
    expect(reply.text).toContain("p    50%");
  });
});
