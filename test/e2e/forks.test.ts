import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startClient, type TestClient } from "../helpers/client.ts";
import { guardAgainstLeaks } from "../helpers/containers.ts";

guardAgainstLeaks();

let client: TestClient;
beforeAll(async () => {
  client = await startClient();
  await client.run("1");
});
afterAll(async () => await client.close());

const newContext = async (args: Record<string, unknown> = {}) => {
  const reply = await client.call("create_context", args);
  expect(reply.error).toBeUndefined();
  return reply.structured.context_id as string;
};

/** A variable that an interpreter reads at its start only: such a context is no fork. */
const PLAIN = { env: { PYTHONHASHSEED: "0" } };
const IS_FORK = "import sys\nopen('/proc/self/cmdline').read().split('\\0')[3]";

describe("a context that is a fork of the template", () => {
  it("has imported what nearly everybody imports, and is there in a fraction of a plain start's time", async () => {
    const times: Record<"fork" | "plain", number[]> = { fork: [], plain: [] };
    for (let n = 0; n < 3; n++) {
      for (const [kind, args] of [
        ["fork", {}],
        ["plain", PLAIN],
      ] as const) {
        const startedAt = performance.now();
        const context_id = await newContext(args);
        const reply = await client.run("import pandas, matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()", { context_id });
        times[kind].push(performance.now() - startedAt);
        expect(reply.images).toHaveLength(1);
        expect((await client.run(IS_FORK, { context_id })).structured.result).toContain(kind === "fork" ? "template" : "python");
        await client.call("delete_context", { context_id });
      }
    }
    const median = (values: number[]) => values.toSorted((a, b) => a - b)[1] as number;
    expect(median(times.fork) / median(times.plain)).toBeLessThan(0.4);
  });

  it("costs little memory of its own", async () => {
    const context_id = await newContext();
    const code = "[l.split()[:2] for l in open('/proc/self/smaps_rollup') if l.startswith(('Private_Dirty', 'Private_Clean', 'Pss:'))]";
    const reply = await client.run(code, { context_id });
    const kB = Object.fromEntries((reply.structured.result_json as [string, string][]).map(([name, value]) => [name, Number(value)]));
    expect((kB["Private_Dirty:"] ?? 0) + (kB["Private_Clean:"] ?? 0)).toBeLessThan(22_000 * 1.25);
    await client.call("delete_context", { context_id });
  });

  it("shares no randomness with another, has its own session, folder and environment, and sees nobody's variables", async () => {
    const code =
      "import os, random, uuid, numpy\n[random.random(), float(numpy.random.rand()), float(numpy.random.default_rng().random()), uuid.uuid4().hex, os.urandom(8).hex(), os.getsid(0), os.getcwd(), os.environ.get('WHO')]";
    const contexts = await Promise.all(["a", "b"].map((who) => newContext({ cwd: `/home/user/${who}`, env: { WHO: who } })));
    const [a, b] = await Promise.all(
      contexts.map(async (context_id) => (await client.run(code, { context_id })).structured.result_json as unknown[]),
    );
    for (const [at, value] of (a ?? []).entries()) expect(value).not.toEqual(b?.[at]);
    expect(a?.slice(6)).toEqual(["/home/user/a", "a"]);
    await client.run("secret = 1", { context_id: contexts[0] });
    expect((await client.run("'secret' in globals()", { context_id: contexts[1] })).structured.result).toBe("False");
    for (const context_id of contexts) await client.call("delete_context", { context_id });
  });

  it.each<[what: string, code: string, result: string]>([
    ["threads", "import threading\nr = []\nt = threading.Thread(target=r.append, args=(1,)); t.start(); t.join()\nr", "[1]"],
    [
      "BLAS",
      "import numpy as np\na = np.random.rand(400, 400)\nu, s, v = np.linalg.svd(a @ a)\nbool(np.allclose(u @ np.diag(s) @ v, a @ a))",
      "True",
    ],
    [
      "multiprocessing by fork",
      "import multiprocessing as m\nwith m.get_context('fork').Pool(2) as p: r = p.map(abs, [-1, 2])\nr",
      "[1, 2]",
    ],
    [
      "multiprocessing by spawn",
      "import multiprocessing as m\nwith m.get_context('spawn').Pool(1) as p: r = p.map(abs, [-1, 2])\nr",
      "[1, 2]",
    ],
    [
      "multiprocessing by a fork server",
      "import multiprocessing as m\nwith m.get_context('forkserver').Pool(1) as p: r = p.map(abs, [-1, 2])\nr",
      "[1, 2]",
    ],
    [
      "a pool of processes with a function of the cell",
      "from concurrent.futures import ProcessPoolExecutor\nimport multiprocessing as m\ndef f(x): return x + 1\nwith ProcessPoolExecutor(2, m.get_context('fork')) as p: r = list(p.map(f, [1, 2]))\nr",
      "[2, 3]",
    ],
    ["joblib", "import joblib\ndef f(x): return x * 2\njoblib.Parallel(n_jobs=2)(joblib.delayed(f)(x) for x in range(3))", "[0, 2, 4]"],
    [
      "scikit-learn",
      "import numpy as np\nfrom sklearn.cluster import KMeans\nlen(KMeans(3, n_init=2).fit(np.random.rand(2000, 4)).cluster_centers_)",
      "3",
    ],
    ["polars", "import polars as pl\npl.DataFrame({'a': [1, 2, 3]}).lazy().select(pl.col('a').sum()).collect().item()", "6"],
    [
      "duckdb over a frame",
      "import duckdb, pandas as pd\nframe = pd.DataFrame({'a': [1, 2, 3]})\nduckdb.sql('select sum(a)::int from frame').fetchall()[0][0]",
      "6",
    ],
    ["pyarrow", "import pyarrow as pa, pyarrow.compute as pc\npc.sum(pa.array(range(100000))).as_py()", "4999950000"],
    [
      "asyncio",
      "import asyncio\nasync def f(n):\n    await asyncio.sleep(0.01)\n    return n\n[*await asyncio.gather(f(1), f(2)), await asyncio.to_thread(lambda: 3)]",
      "[1, 2, 3]",
    ],
    [
      "a subprocess of asyncio",
      "import asyncio\np = await asyncio.create_subprocess_exec('echo', 'hi', stdout=asyncio.subprocess.PIPE)\n(await p.communicate())[0].decode()",
      "'hi\\n'",
    ],
    [
      "an alarm",
      "import signal, time\nhits = []\nsignal.signal(signal.SIGALRM, lambda *_: hits.append(1))\nsignal.alarm(1)\ntime.sleep(1.5)\nhits",
      "[1]",
    ],
    ["temporary files", "import tempfile, os\nwith tempfile.NamedTemporaryFile() as f: r = f.name.startswith('/tmp/')\nr", "True"],
    ["the user's name", "import getpass\ngetpass.getuser()", "'user'"],
  ])("can do %s", async (_, code, result) => {
    const reply = await client.run(code, { timeout_s: 50 });
    expect(reply.structured, reply.text).toMatchObject({ status: "ok", result });
  });
});
