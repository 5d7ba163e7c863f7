import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startClient, type TestClient } from "../helpers/client.ts";
import { eventually, guardAgainstLeaks } from "../helpers/containers.ts";

guardAgainstLeaks();

let client: TestClient;
beforeAll(async () => {
  client = await startClient();
});
afterAll(async () => await client.close());

async function contextWith(code: string): Promise<string> {
  const { context_id } = (await client.call("create_context")).structured;
  const reply = await client.run(code, { context_id });
  expect(reply.structured).toMatchObject({ status: "ok" });
  return context_id;
}

const look = (context_id: string, ...include: string[]) => client.call("get_context", { context_id, include });

async function variablesOf(context_id: string) {
  const { structured } = await look(context_id, "variables");
  expect(structured.variables, JSON.stringify(structured.notices)).not.toBeNull();
  return structured.variables as {
    name: string;
    type: string;
    shape: number[] | null;
    size_bytes: number | null;
    preview: string | null;
  }[];
}

const BOMB = `
ran = []
def bomb(name, act=None):
    def method(self, *_):
        ran.append(name)
        print('ran', name)
        if act is not None:
            act()
        raise ValueError(name)
    return method
import time
methods = {f'__{n}__': bomb(n) for n in 'repr str len sizeof iter eq bool format getattribute getattr dir'.split()}
methods['__repr__'] = bomb('repr', lambda: time.sleep(60))
methods['shape'] = property(bomb('shape'))
methods['__class__'] = property(bomb('class'))
Hostile = type('Hostile', (), methods)
def subclass(base):
    return type('Sub', (base,), methods)
h = Hostile()
holder = {'key': [h]}
sub_list, sub_dict = subclass(list)(), subclass(dict)()
globals()['\\ud800name'] = 1
itself = []; itself.append(itself)
`;

describe("variables", () => {
  it("are told with type, shape, size and the beginning of their value, and nothing changes by it", async () => {
    const context_id = await contextWith(
      "import numpy as np, pandas as pd, os\nos.makedirs('sub', exist_ok=True); os.chdir('sub')\ntext = 'é' * 3\n" +
        "grid = np.arange(6.).reshape(2, 3)\nframe = pd.DataFrame({'a': [1, 2], 'b': ['x', 'y']})\n_hidden = 1\ndef f(a, b): 'doc'",
    );
    await client.run("'the last value'", { context_id });
    const reply = await look(context_id, "variables");
    expect(reply.structured).toMatchObject({
      state: "idle",
      cwd: "/home/user",
      current_cwd: "/home/user/sub",
      packages: null,
      usage: null,
    });
    expect(reply.structured.variables).toEqual([
      { name: "text", type: "str", shape: [3], size_bytes: expect.any(Number), preview: "'ééé'" },
      { name: "grid", type: "numpy.ndarray", shape: [2, 3], size_bytes: 48, preview: "float64 [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]" },
      {
        name: "frame",
        type: "pandas.DataFrame",
        shape: [2, 2],
        size_bytes: expect.any(Number),
        preview: expect.stringContaining("'a' int64 [1, 2]; 'b' "),
      },
      expect.objectContaining({ name: "np", type: "module" }),
      expect.objectContaining({ name: "pd", type: "module" }),
      expect.objectContaining({ name: "os", type: "module" }),
      expect.objectContaining({ name: "f", type: "function", preview: "(a, b)" }),
    ]);
    expect(reply.text).toContain("- grid: numpy.ndarray, [2, 3], 48 bytes = float64 [0.0, 1.0");
    await client.call("get_context", { context_id, complete: { code: "gr" }, inspect: { code: "grid" } });
    // The last value, its history and its number are what they were.
    const next = await client.run("_, len(Out), len(In)", { context_id });
    expect(next.structured).toMatchObject({ result: "('the last value', 1, 4)", execution_count: 3 });
  });

  it("of hostile kinds are told without a line of theirs being run", async () => {
    const context_id = await contextWith(BOMB);
    const began = Date.now();
    const found = await variablesOf(context_id);
    expect(Date.now() - began).toBeLessThan(3_000);
    const by = Object.fromEntries(found.map((variable) => [variable.name, variable]));
    expect(by.h).toMatchObject({ type: "__main__.Hostile", shape: null, size_bytes: null, preview: null });
    expect(by.holder).toMatchObject({ type: "dict", preview: "{'key': [<__main__.Hostile>]}" });
    expect(by.sub_list).toMatchObject({ type: "__main__.Sub", shape: [0], preview: null });
    expect(by.itself?.preview).toBe("[[[[…]]]]");
    expect(by["\\ud800name"]).toMatchObject({ type: "int", preview: "1" });
    const after = await client.run("ran", { context_id });
    expect(after.structured).toMatchObject({ result: "[]", stdout: "" });
  });

  it("of too many are the data that was defined last, and the rest is counted", async () => {
    const context_id = await contextWith("for n in range(10_000): globals()[f'v{n}'] = 'x' * 10_000\ndel n");
    const reply = await look(context_id, "variables");
    expect(reply.structured.variables).toHaveLength(100);
    expect(reply.structured.variables.at(-1)).toMatchObject({ name: "v9999", shape: [10_000] });
    expect(reply.structured.notices).toEqual([expect.stringMatching(/^9900 more variables/)]);
    expect(reply.bytes).toBeLessThan(120_000);
  });

  it("leave what an earlier cell's subprocess still says to that cell", async () => {
    const context_id = await contextWith("import subprocess\nlate = subprocess.Popen(['sh', '-c', 'sleep 1.5; echo late'])");
    const { execution_id } = (await client.run("subprocess.Popen(['sh', '-c', 'sleep 1; echo later']); None", { context_id })).structured;
    await look(context_id, "variables");
    await client.call("get_context", { context_id, complete: { code: "sub" } });
    const path = `kernelbox://executions/${execution_id}/stdout`;
    const read = () => client.call("read_file", { path });
    await eventually(read, (reply) => (reply.structured?.content ?? "").includes("later"), 8_000);
  });
});

describe("packages and use", () => {
  it("are told as the context sees them", async () => {
    const context_id = await contextWith("held = bytearray(100 * 2**20)\nimport subprocess\nchild = subprocess.Popen(['sleep', '60'])");
    const folder = ".local/lib/python3.13/site-packages/My_Thing-1.2.dist-info";
    await client.call("write_file", { path: `${folder}/METADATA`, content: "Name: lies" });
    const { structured, text } = await look(context_id, "packages", "usage");
    expect(structured.packages).toEqual(
      expect.arrayContaining([
        { name: "my-thing", version: "1.2" },
        { name: "numpy", version: expect.stringMatching(/^\d/) },
      ]),
    );
    const names = structured.packages.map((item: { name: string }) => item.name);
    expect(names).toEqual([...names].sort());
    const { usage } = structured;
    expect(usage.memory_bytes).toBeGreaterThan(100 * 2 ** 20);
    expect(usage.processes).toBe(2);
    expect(usage.cpu_s).toBeGreaterThan(0);
    expect(usage.sandbox_memory_bytes).toBeGreaterThan(usage.memory_bytes / 2);
    expect(usage).toMatchObject({ sandbox_memory_limit_bytes: 2 * 2 ** 30 });
    expect(usage.sandbox_memory_peak_bytes).toBeGreaterThanOrEqual(100 * 2 ** 20);
    expect(text).toMatch(/Uses \d+ MiB and [\d.]+ CPU s in 2 processes/);
    const other = (await look(await contextWith("1"), "usage")).structured.usage;
    expect(other.memory_bytes).toBeLessThan(90 * 2 ** 20);
  });
});

describe("names in code", () => {
  it("are completed and inspected, at places that count code points", async () => {
    const context_id = await contextWith("def measure(height, width=2):\n    '''The area.'''\n\nmeasured = 1");
    const code = "'🎉🎉'; meas + 1";
    const complete = await client.call("get_context", { context_id, complete: { code, cursor: 10 } });
    expect(complete.structured.completions).toEqual({ matches: ["measure", "measured"], cursor_start: 6, cursor_end: 10 });
    const inspect = await client.call("get_context", { context_id, inspect: { code: "'🎉🎉'; measure(1)", cursor: 9 } });
    expect(inspect.structured.inspection).toMatchObject({ found: true });
    expect(inspect.structured.inspection.text).toMatch(/measure\(height, width=2\)[\s\S]*The area\./);
    expect(inspect.structured.inspection.text).not.toContain("\u001b");
    const none = await client.call("get_context", { context_id, inspect: { code: "nothing_like_it" }, complete: { code: "qqqq" } });
    expect(none.structured).toMatchObject({ inspection: { found: false, text: null }, completions: { matches: [] } });
  });

  it("that ask objects which end the program cost neither the kernel nor its variables", async () => {
    const context_id = await contextWith(
      "class Ends:\n    def __len__(self): raise SystemExit(1)\n    def __getattr__(self, name): raise GeneratorExit\nends = Ends()\nkept = 5",
    );
    const { error } = await client.call("get_context", { context_id, inspect: { code: "ends" }, complete: { code: "ends." } });
    expect(error?.code).not.toBe("kernel_died");
    expect((await client.run("kept", { context_id })).structured).toMatchObject({ result: "5", state: { variables: "kept" } });
  });

  it.each(["javascript", "bash"])("are not said to be none where the kernel of %s cannot tell", async (language) => {
    const { context_id } = (await client.call("create_context", { language })).structured;
    await client.run(language === "bash" ? "known=1" : "const known = 1", { context_id });
    const { structured, text } = await client.call("get_context", { context_id, inspect: { code: "known" }, complete: { code: "kno" } });
    const notices = [
      ...(language === "bash" ? ["The bash kernel cannot complete names."] : []),
      expect.stringContaining("cannot inspect names"),
    ];
    expect(structured.notices).toEqual(notices);
    if (language === "javascript") expect(structured.completions.matches).toEqual(["known"]);
    expect(text).not.toContain("There is no such name");
  });

  it("that take for ever are given up, and code runs on with its variables", async () => {
    const context_id = await contextWith(
      "import time\nclass Slow:\n    def __getattr__(self, name):\n        time.sleep(600)\nslow = Slow()\nkept = 5",
    );
    const looking = client.call("get_context", { context_id, inspect: { code: "slow" } });
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    // Its timeout begins when it is sent, which is after that look.
    const running = client.run("kept", { context_id, timeout_s: 3 });
    expect((await looking).error).toMatchObject({ code: "deadline_exceeded" });
    expect((await running).structured).toMatchObject({ status: "ok", result: "5", state: { variables: "kept" } });
  });

  it("are bounded", async () => {
    const context_id = await contextWith("for n in range(500): globals()[f'many_{n}'] = 1\ndef f(): pass\nf.__doc__ = 'd' * 100_000");
    const { structured } = await client.call("get_context", { context_id, complete: { code: "many_" }, inspect: { code: "f" } });
    expect(structured.completions.matches).toHaveLength(100);
    expect(structured.notices).toEqual([expect.stringMatching(/^400 more completions/)]);
    expect(structured.inspection.text.length).toBeLessThanOrEqual(10_000);
    const long = await client.call("get_context", { context_id, complete: { code: "x".repeat(70_000) } });
    expect(long.error?.code).toBe("invalid_argument");
  });
});

describe("a context that cannot be looked at", () => {
  it("says that it is busy, and what can be told is", async () => {
    const context_id = await contextWith("x = 1");
    const running = client.run("import time\ntime.sleep(3)", { context_id });
    await new Promise((resolve) => setTimeout(resolve, 700));
    const began = Date.now();
    const { structured, text } = await look(context_id, "variables", "packages", "usage");
    expect(Date.now() - began).toBeLessThan(2_000);
    expect(structured).toMatchObject({ state: "busy", variables: null, notices: [expect.stringContaining("context is busy")] });
    expect(structured.packages.length).toBeGreaterThan(10);
    expect(text).toContain("cancel_execution");
    const refused = await client.call("get_context", { context_id, complete: { code: "x" } });
    expect(refused.error).toMatchObject({ code: "busy", hint: expect.stringContaining("cancel_execution") });
    expect((await running).structured.status).toBe("ok");
  });

  it("says that its kernel is gone, and who asks does not bring it back", async () => {
    const context_id = await contextWith("import os, threading\nthreading.Timer(0.2, lambda: os._exit(3)).start()");
    await eventually(
      () => client.call("get_context", { context_id }),
      (reply) => reply.structured.state === "dead",
      5_000,
    );
    const { structured } = await look(context_id, "variables", "usage");
    expect(structured).toMatchObject({ state: "dead", incarnation: 1, variables: null, current_cwd: null, usage: { processes: 0 } });
    expect(structured.notices).toEqual([expect.stringContaining("no kernel now")]);
    expect((await client.call("get_context", { context_id, inspect: { code: "x" } })).error).toMatchObject({ code: "kernel_died" });
    const told = await client.run("1", { context_id });
    expect(told.structured.state).toMatchObject({ variables: "lost", reason: "exited", message: expect.stringContaining("exit code 3") });
  });
});
