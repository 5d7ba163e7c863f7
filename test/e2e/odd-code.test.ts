import { afterAll, beforeAll, expect, it } from "vitest";
import { startClient, type TestClient } from "../helpers/client.ts";
import { guardAgainstLeaks } from "../helpers/containers.ts";

guardAgainstLeaks();

let client: TestClient;
beforeAll(async () => {
  client = await startClient();
});
afterAll(async () => await client.close());

const run = async (code: string, args = {}) => (await client.run(code, args)).structured;

it("an exception or a display larger than a message may be costs neither the cell's end nor the kernel", async () => {
  await run("kept = 1");
  const raised = await run("raise ValueError('x' * 5_000_000)", { timeout_s: 50 });
  expect(raised).toMatchObject({ status: "error", error: { name: "ValueError" }, state: { variables: "kept" } });
  expect((await run("'x' * 150_000_000", { timeout_s: 50 })).notices.join()).toMatch(/1500000\d\d bytes/);
  const shown = await run(
    "from IPython.display import display\ndisplay({'text/html': 'x' * 150_000_000, 'text/plain': 'short'}, raw=True)\nkept",
    {
      timeout_s: 50,
    },
  );
  expect(shown).toMatchObject({ status: "ok", result: "1", state: { variables: "kept" } });
  expect(shown.outputs[0].mime_types).toContain("text/plain");
  const all = await run("display({f'x/t{n}': chr(0) * 3_000_000 for n in range(9)}, raw=True)\nkept");
  expect(all).toMatchObject({ status: "ok", result: "1", state: { variables: "kept" } });
});

it("numbers, counts and JSON that no server can hold cost nothing", async () => {
  await run("kept = 1\nfrom IPython.display import display");
  expect(await run("get_ipython().execution_count = 10**30\nkept")).toMatchObject({ status: "ok", result: "1" });
  expect(
    await run("get_ipython().execution_count = 5\nv = []\nfor _ in range(6000): v = [v]\ndisplay({'application/json': v}, raw=True)\nkept"),
  ).toMatchObject({
    status: "ok",
    result: "1",
  });
  expect(await run("display({'application/json': {'a': float('nan'), 'b': [1e308 * 10]}}, raw=True)\nkept")).toMatchObject({ result: "1" });
  expect(await run("kept")).toMatchObject({ result: "1", state: { variables: "kept", incarnation: 1 } });
});

it("text that is no UTF-8, files that claim to be larger than any, and our own words cost nothing", async () => {
  const text = await run("print('one')\nprint('\\udcff')\nprint('three')\nraise ValueError('\\udcff')");
  expect(text).toMatchObject({ status: "error", error: { name: "ValueError" } });
  expect(text.stdout).toMatch(/^one\n.+\nthree\n$/);
  expect(text.duration_ms).toBeLessThan(5_000);
  const words = await run(
    "from IPython.display import display\ndisplay({'application/json': {'$attachment': [0, 9]}, 'text/plain': 'x'}, raw=True)\nopen('sparse', 'wb').truncate(2**60)\n1",
  );
  expect(words).toMatchObject({ status: "ok", result: "1", files: [{ path: "/home/user/sparse" }], state: { variables: "kept" } });
  await run("import os\nos.remove('sparse')");
  const values = await run("display({'application/json': [{} for _ in range(3_000_000)]}, raw=True)\n2", { timeout_s: 50 });
  expect(values).toMatchObject({ status: "ok", result: "2", notices: [expect.stringContaining("too many values")] });
  expect(await run("1", { env: { A: "\udcff" } })).toBeUndefined();
});

it("half of a surrogate pair costs neither what is printed nor what is raised", async () => {
  const half = await run("print('one \\ud83d')\nprint('two')\n{'a': '\\ud800'}");
  expect(half).toMatchObject({ status: "ok", stderr: "", stdout: expect.stringMatching(/^one .\ntwo\n$/) });
  const raised = await run(
    "from IPython.display import display\ndisplay({'text/plain': '\\udbff'}, raw=True)\nraise ValueError('\\ud800 odd')",
  );
  expect(raised).toMatchObject({ status: "error", stderr: "", error: { name: "ValueError", value: expect.stringMatching(/^. odd$/) } });
  expect(raised.outputs).toHaveLength(1);
});

it("a cancel that comes as the code begins keeps the variables", async () => {
  await run("kept = 1");
  for (let n = 0; n < 10; n++) {
    const stop = new AbortController();
    const running = client.run("import time\ntime.sleep(30)", {}, { signal: stop.signal }).catch(() => {});
    await new Promise((resolve) => setTimeout(resolve, n));
    stop.abort();
    await running;
    expect(await run("kept")).toMatchObject({ result: "1", state: { variables: "kept" } });
  }
});

it("a folder that the code removed under itself does not cost the context", async () => {
  const { context_id } = (await client.call("create_context", { cwd: "/home/user/project" })).structured;
  await run("import os, shutil\nshutil.rmtree('/home/user/project')\nos._exit(1)", { context_id });
  expect(await run("import os\nos.getcwd()", { context_id })).toMatchObject({ status: "ok", result: "'/home/user/project'" });
});

it("a restart or a deletion while the kernel still starts does what it says", async () => {
  const { context_id } = (await client.call("create_context")).structured;
  await run("import os\nos._exit(1)", { context_id });
  const restarts = await Promise.all([1, 2, 3].map(() => client.call("restart_context", { context_id })));
  // A later one may make an earlier one pointless, and then it says so; the last has its kernel.
  expect(restarts.at(-1)).toMatchObject({ isError: false, structured: { state: "idle" } });
  expect(await run("1 + 1", { context_id })).toMatchObject({ status: "ok", result: "2" });

  await run("import os\nos._exit(1)", { context_id });
  const [late] = await Promise.all([client.run("'ran'", { context_id }), client.call("delete_context", { context_id })]);
  expect(late.error?.code ?? late.structured.status).toMatch(/not_found|cancelled|ok/);
  await new Promise((resolve) => setTimeout(resolve, 2_000));
  const kernels = "import subprocess\nint(subprocess.run(['pgrep', '-c', '-x', 'python-kernel'], capture_output=True, text=True).stdout)";
  expect((await run(kernels)).result).toBe(String((await client.call("list_contexts")).structured.contexts.length));
});

it("output of a subprocess belongs to the code that runs, whichever thread prints meanwhile", async () => {
  await run(
    // With the context of this code, as asyncio.to_thread gives it.
    "import contextvars, threading, time\nstop = False\ndef talk():\n    while not stop:\n        print('thread')\n        time.sleep(0.001)\nthreading.Thread(target=contextvars.copy_context().run, args=(talk,)).start()",
  );
  const own = await run("import os\nfor n in range(30): os.system('echo line')\nstop = True");
  expect(own.stdout.match(/line/g)).toHaveLength(30);
});

it("a forked child does not say again what its parent has said", async () => {
  const reply = await run(
    "import os, sys\nprint('parent')\npid = os.fork()\nif pid == 0:\n    print('child')\n    sys.stdout.flush()\n    os._exit(0)\nos.waitpid(pid, 0)\nprint('end')",
  );
  expect(reply.stdout.match(/parent/g)).toHaveLength(1);
  expect(reply.stdout).toContain("end");
});
