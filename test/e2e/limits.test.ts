import { expect, it } from "vitest";
import { LIMITS } from "../../src/limits.ts";
import { startClient } from "../helpers/client.ts";
import { guardAgainstLeaks } from "../helpers/containers.ts";

guardAgainstLeaks();

it("a sandbox takes so many contexts, and another one when one is gone", async () => {
  await using client = await startClient();
  const ids: string[] = [];
  for (let n = 0; n < LIMITS.contextsPerSandbox; n++)
    ids.push((await client.call("create_context", { name: `c${n}` })).structured.context_id);
  const refused = await client.call("create_context");
  expect(refused.error).toMatchObject({ code: "limit_exceeded", hint: expect.stringContaining("delete_context") });
  await client.call("delete_context", { context_id: ids[0] });
  expect((await client.call("create_context")).isError).toBe(false);
  const page = (await client.call("list_contexts", { limit: 50 })).structured;
  expect(page.contexts).toHaveLength(50);
  const rest = (await client.call("list_contexts", { limit: 50, cursor: page.next_cursor })).structured;
  expect([rest.contexts.length, rest.next_cursor]).toEqual([LIMITS.contextsPerSandbox - 50, null]);
});

it("a context takes so many waiting executions, and loses none of them", async () => {
  await using client = await startClient();
  await client.run("done = []");
  const first = client.run("import time\ntime.sleep(3)");
  await new Promise((resolve) => setTimeout(resolve, 300));
  // The supervisor's own bound (sandbox/kernelbox/limits.py, QUEUE).
  const queue = 100;
  const replies = await Promise.all(Array.from({ length: queue + 5 }, (_, n) => client.run(`done.append(${n})`)));
  const refused = replies.filter((reply) => reply.isError);
  expect(refused).toHaveLength(5);
  expect(refused.every((reply) => reply.error?.code === "limit_exceeded")).toBe(true);
  await first;
  expect((await client.run("len(done)")).structured.result).toBe(String(queue));
});

it("a sandbox has the memory, processors, processes and workspace that the flags give it", async () => {
  await using client = await startClient(undefined, ["--memory", "600", "--workspace", "50", "--pids", "100", "--cpus", "0.5"]);
  const cpus = await client.run(
    "import os\ndef read(path):\n    return open('/sys/fs/cgroup/' + path).read().split()\n" +
      "quota, period = read('cpu.max') if os.path.exists('/sys/fs/cgroup/cpu.max') else read('cpu/cpu.cfs_quota_us') + read('cpu/cpu.cfs_period_us')\nint(quota) / int(period)",
  );
  expect(cpus.structured.result_json).toBe(0.5);
  const facts = await client.run(
    "import os, pathlib\ndef read(*paths):\n    return next(int(pathlib.Path(p).read_text().split()[0]) for p in paths if os.path.exists(p))\n" +
      "s = os.statvfs('/home/user')\n[read('/sys/fs/cgroup/memory/memory.limit_in_bytes', '/sys/fs/cgroup/memory.max') >> 20, read('/sys/fs/cgroup/pids/pids.max', '/sys/fs/cgroup/pids.max'), s.f_blocks * s.f_frsize >> 20]",
  );
  expect(facts.structured.result_json).toEqual([600, 100, 50]);
});

it("a reply to a forgotten execution says so", async () => {
  await using client = await startClient();
  const { execution_id } = (await client.run("print('first')")).structured;
  const path = `kernelbox://executions/${execution_id}/stdout`;
  expect((await client.call("read_file", { path })).structured.content).toBe("first\n");
  for (let n = 0; n < LIMITS.executionsKept; n += 50) await Promise.all(Array.from({ length: 50 }, () => client.run("1")));
  expect((await client.call("read_file", { path })).error).toMatchObject({ code: "not_found" });
});
