import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { LIMITS } from "../../src/limits.ts";
import { startClient, type TestClient } from "../helpers/client.ts";
import { guardAgainstLeaks } from "../helpers/containers.ts";
import { nbclientWheel } from "../helpers/nbclient.ts";

guardAgainstLeaks();

let client: TestClient;
beforeAll(async () => {
  client = await startClient();
});
afterAll(async () => await client.close());

const CELLS = [
  "x = 41\nprint('größer: 日本 🎉')",
  "import sys\nprint('out', flush=True)\nprint('\\x1b[31merr\\x1b[0m', file=sys.stderr, flush=True)\nprint('more')",
  "x + 1",
  "import pandas as pd\npd.DataFrame({'a': [1, 2], 'ü': ['x', None]})",
  "import matplotlib.pyplot as plt\n_ = plt.plot([1, 2, 3])\nplt.show()",
  "import plotly.graph_objects as go\nfrom IPython.display import display\ndisplay(go.Figure(go.Bar(y=[1, 2])).to_dict(), raw=False)\n" +
    "display({'application/vnd.plotly.v1+json': {'data': [{'y': [1, 2]}], 'layout': {}}, 'text/plain': 'Figure'}, raw=True)",
  "def fails():\n    raise ValueError('bad ü')\nprint('before')\nfails()",
  "h = display('first', display_id=True)\nprint('between')\nh.update('second')",
  "old = display('shown here', display_id='later')\n_ = display('shown again', display_id='later')",
  "old = display('x', display_id='later', update=True)\nprint('updated')\nh.update('third')",
  "from IPython.display import clear_output\nprint('gone')\ndisplay('gone too')\nclear_output()\nprint('stays')\nclear_output(wait=True)\ndisplay('last')",
  "from IPython.display import HTML, JSON, Markdown, SVG\n" +
    'display(HTML("<b>ü</b>"), Markdown("# a\\nb"), JSON({"a": [1, None]}), SVG("<svg xmlns=\'http://www.w3.org/2000/svg\'/>"))',
  "```python\nprint('in a fence')\n```",
  "import time\nprint('half')\ntime.sleep(60)",
];

interface Cell {
  cell_type: string;
  id: string;
  source: string[];
  execution_count: number | null;
  // biome-ignore lint/suspicious/noExplicitAny: outputs of many shapes, and a wrong one fails the test
  outputs: any[];
  // biome-ignore lint/suspicious/noExplicitAny: as above
  metadata: any;
}
const uriOf = (context_id: string) => `kernelbox://contexts/${context_id}/notebook`;

/** In ranges, as a model reads what is long. */
async function inParts(path: string): Promise<string> {
  const parts: string[] = [];
  for (let offset_bytes: number | null = 0; offset_bytes !== null; ) {
    const { structured } = await client.call("read_file", { path, offset_bytes });
    parts.push(structured.content);
    offset_bytes = structured.next_offset_bytes;
  }
  return parts.join("");
}

async function notebook(context_id: string): Promise<{ cells: Cell[]; metadata: { kernelspec: { name: string } } }> {
  return JSON.parse(await inParts(uriOf(context_id)));
}

describe("a context's history is a notebook", () => {
  let contextId: string;
  beforeAll(async () => {
    contextId = (await client.call("create_context")).structured.context_id;
    for (const [index, code] of CELLS.entries()) {
      const isLast = index === CELLS.length - 1;
      const { structured } = await client.run(code, { context_id: contextId, ...(isLast ? { timeout_s: 2 } : {}) });
      expect(structured.status).toBe(isLast ? "timeout" : code.includes("fails()") ? "error" : "ok");
    }
  });

  it("that reads as a resource and in parts, and is listed", async () => {
    const resource = await client.readResource(uriOf(contextId));
    expect(resource.mimeType).toBe("application/x-ipynb+json");
    expect(resource.text).toBe(await inParts(uriOf(contextId)));
    const listed = await client.client.listResources();
    expect(listed.resources).toContainEqual(expect.objectContaining({ uri: uriOf(contextId), mimeType: "application/x-ipynb+json" }));
  });

  it("with one cell an execution, its code as it ran and its outputs as they came", async () => {
    const { cells, metadata } = await notebook(contextId);
    expect(metadata.kernelspec.name).toBe("python3");
    expect(cells.map((cell) => cell.cell_type)).toEqual(CELLS.map(() => "code"));
    expect(cells.map((cell) => cell.source.join(""))).toEqual(CELLS.map((code) => (code.startsWith("```") ? "print('in a fence')" : code)));
    expect(cells.map((cell) => cell.execution_count)).toEqual(CELLS.map((_, index) => index + 1));
    expect(cells[1]?.outputs).toEqual([
      { output_type: "stream", name: "stdout", text: ["out\n"] },
      { output_type: "stream", name: "stderr", text: ["\x1b[31merr\x1b[0m\n"] },
      { output_type: "stream", name: "stdout", text: ["more\n"] },
    ]);
    expect(cells[2]?.outputs).toEqual([
      { output_type: "execute_result", data: { "text/plain": ["42"] }, metadata: {}, execution_count: 3 },
    ]);
    expect(Object.keys(cells[3]?.outputs[0].data).sort()).toEqual(["text/html", "text/plain"]);
    expect(Buffer.from(cells[4]?.outputs[0].data["image/png"], "base64").subarray(1, 4).toString()).toBe("PNG");
    expect(cells[5]?.outputs[1].data["application/vnd.plotly.v1+json"]).toEqual({ data: [{ y: [1, 2] }], layout: {} });
    expect(cells[6]?.outputs[1]).toMatchObject({ output_type: "error", ename: "ValueError", evalue: "bad ü" });
    expect(cells[6]?.outputs[1].traceback.join("")).toContain("\x1b[");
    expect(cells[7]?.outputs.map((output) => output.data?.["text/plain"] ?? output.text)).toEqual([["'third'"], ["between\n"]]);
    expect(cells[8]?.outputs.map((output) => output.data["text/plain"])).toEqual([["'x'"], ["'x'"]]);
    expect(cells[9]?.outputs).toEqual([{ output_type: "stream", name: "stdout", text: ["updated\n"] }]);
    expect(cells[10]?.outputs).toHaveLength(1);
    expect(cells[13]?.outputs[0]).toEqual({ output_type: "stream", name: "stdout", text: ["half\n"] });
    expect(cells.map((cell) => cell.metadata.tags?.[0])).toEqual(
      CELLS.map((_, index) => (index === 6 ? "raises-exception" : index === 13 ? "skip-execution" : undefined)),
    );
    expect(cells[13]?.metadata.kernelbox).toMatchObject({ status: "timeout", variables: "kept", incarnation: 1 });
  });

  it("that nbformat accepts and nbclient runs again to the same outputs", async (test) => {
    const wheel = await nbclientWheel();
    if (wheel === undefined) return test.skip("needs Python 3 with venv, to download nbclient");
    await client.call("write_file", { path: wheel.name, content: wheel.bytes.toString("base64"), encoding: "base64" });
    await client.call("write_file", { path: "history.ipynb", content: await inParts(uriOf(contextId)) });
    const { context_id } = (await client.call("create_context")).structured;
    await client.run(await readFile(join(import.meta.dirname, "../notebook/rerun.py"), "utf8"), { context_id });
    const again = await client.run(`rerun("/home/user/${wheel.name}", "history.ipynb", "facts.json")`, { context_id, timeout_s: 90 });
    expect(again.structured.error).toBeNull();
    const { before, after } = JSON.parse(await inParts("facts.json"));
    expect(after).toEqual(before);
    expect(before).toHaveLength(CELLS.length);
  }, 120_000);
});

describe("a notebook says what it does not show", () => {
  it("where variables were lost, by what, and what was stopped with it", async () => {
    const { context_id } = (await client.call("create_context")).structured;
    await client.run("x = 1", { context_id });
    await client.run("import os\nprint('going', flush=True)\nos._exit(3)", { context_id });
    await client.run("'x' in globals()", { context_id });
    await client.call("restart_context", { context_id });
    await client.run("'x' in globals()", { context_id });
    const { cells } = await notebook(context_id);
    expect(cells.map((cell) => (cell.cell_type === "code" ? cell.metadata.kernelbox.status : cell.source.join("")))).toEqual([
      "ok",
      "died",
      "**All variables were lost here**: the kernel's process ended. What runs after it has a new kernel (incarnation 2).",
      "ok",
      "**All variables were lost here**: restart_context was called, which replaced its kernel. What runs after it has a new kernel (incarnation 3).",
      "ok",
    ]);
    expect(new Set(cells.map((cell) => cell.id)).size).toBe(cells.length);
    expect(cells[1]?.metadata.tags).toEqual(["skip-execution"]);
    // It is there as long as its executions are, and nobody else's.
    await client.call("delete_context", { context_id });
    expect((await notebook(context_id)).cells).toHaveLength(6);
  });

  it("how much is not in it, when that is too much for one", async () => {
    const { context_id } = (await client.call("create_context")).structured;
    await client.run(`print('x' * ${LIMITS.notebookTextBytes - 10})\nprint('y' * 100)`, { context_id });
    await expect(client.readResource(uriOf(context_id))).rejects.toThrow("offset_bytes");
    const run = await client.run(
      "from IPython.display import display\nfor n in range(3):\n    display({'text/plain': 'z' * 3_900_000}, raw=True)",
      { context_id },
    );
    const uri = `kernelbox://executions/${run.structured.execution_id}`;
    const parts: string[] = [];
    for (let offset_bytes: number | null = 0; offset_bytes !== null; ) {
      const { structured } = await client.call("read_file", { path: uriOf(context_id), encoding: "base64", offset_bytes });
      parts.push(Buffer.from(structured.content, "base64").toString());
      offset_bytes = structured.next_offset_bytes;
    }
    const { cells } = JSON.parse(parts.join(""));
    expect(cells).toHaveLength(4);
    expect(cells[0].outputs).toHaveLength(1);
    expect(cells[1].source.join("")).toMatch(/bytes of its text/);
    expect(cells[2].outputs).toEqual([]);
    expect(cells[3].source.join("")).toContain(`All of its outputs.\n\nWhat is kept of it: ${uri}`);
  });

  it("that there is none", async () => {
    const { context_id } = (await client.call("create_context")).structured;
    expect((await client.call("read_file", { path: uriOf(context_id) })).error).toMatchObject({ code: "not_found" });
  });
});

it("code is cleaned before it runs, which the reply says, and kept as it ran", async () => {
  const { structured } = await client.run("```python\nx = 6\nx * 7\n```");
  expect(structured).toMatchObject({ status: "ok", result: "42", notices: [expect.stringContaining("Markdown fence")] });
  const { text } = await client.readResource(`kernelbox://executions/${structured.execution_id}`);
  expect(JSON.parse(text ?? "")).toMatchObject({ code: "x = 6\nx * 7", context_id: structured.context_id, execution_count: 1 });
  // IPython's own way with prompts is left to it, and what was printed between them is not run.
  expect((await client.run(">>> x\n... ")).structured).toMatchObject({ result: "6", notices: [] });
  const session = await client.run(">>> print('hello there')\nhello there\n>>> x\n6");
  expect(session.structured).toMatchObject({ status: "ok", stdout: "hello there\n", result: "6" });
  expect(session.text).toContain("Note: Prompts before the code's lines");
});
