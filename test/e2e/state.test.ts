import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startClient, type TestClient } from "../helpers/client.ts";
import { guardAgainstLeaks } from "../helpers/containers.ts";

guardAgainstLeaks();

let client: TestClient;
beforeAll(async () => {
  client = await startClient();
});
afterAll(async () => await client.close());

describe("replies tell the truth about state", () => {
  it("interrupts code at its timeout and keeps variables and partial output", async () => {
    await client.run("kept = 7");
    const reply = await client.run("import time\nprint('before')\ntime.sleep(60)", { timeout_s: 1 });
    expect(reply.structured).toMatchObject({
      status: "timeout",
      stdout: "before\n",
      error: null,
      state: { variables: "kept", incarnation: 1 },
    });
    expect(reply.text).toContain("variables are kept");
    expect((await client.run("kept")).structured.result).toBe("7");
  });

  it("kills code that swallows the interrupt, and says that variables are lost", async () => {
    const { context_id } = (await client.call("create_context")).structured;
    await client.run("lost = 1", { context_id });
    const stubborn =
      "import time\nprint('partial', flush=True)\nwhile True:\n    try:\n        time.sleep(60)\n    except KeyboardInterrupt:\n        pass";
    const reply = await client.run(stubborn, { context_id, timeout_s: 1 });
    expect(reply.structured).toMatchObject({
      status: "timeout",
      stdout: "partial\n",
      state: { variables: "lost", reason: "timeout_kill", incarnation: 2 },
    });
    expect(reply.text.split("\n")[0]).toContain("variables are lost");
    expect(reply.structured.duration_ms).toBeLessThan(10_000);
    const next = await client.run("'lost' in globals()", { context_id });
    expect(next.structured).toMatchObject({ result: "False", state: { variables: "kept", incarnation: 2 } });
  });

  it("interrupts an await and native code that never returns to Python", async () => {
    const awaiting = await client.run("import asyncio\nawait asyncio.sleep(60)", { timeout_s: 1 });
    expect(awaiting.structured).toMatchObject({ status: "timeout", state: { variables: "kept" } });
    const { context_id } = (await client.call("create_context")).structured;
    const native = await client.run("sum(range(10**11))", { context_id, timeout_s: 1 });
    expect(native.structured).toMatchObject({ status: "timeout", state: { variables: "lost", reason: "timeout_kill" } });
  });

  it("tells how a kernel died while code ran", async () => {
    const { context_id } = (await client.call("create_context")).structured;
    const exited = await client.run("print('last', flush=True)\nimport os, time\ntime.sleep(0.2)\nos._exit(7)", { context_id });
    expect(exited.structured).toMatchObject({
      status: "died",
      stdout: "last\n",
      state: { variables: "lost", reason: "exited", incarnation: 2 },
    });
    expect(exited.structured.state.message).toContain("exit code 7");
    expect(exited.structured.notices).toEqual([expect.stringContaining("may be missing")]);
    const killed = await client.run("import os\nos.kill(os.getpid(), 9)", { context_id });
    expect(killed.structured).toMatchObject({ status: "died", state: { reason: "killed", incarnation: 3 } });
  });

  it("tells an out-of-memory kill apart, and the neighbour lives", async () => {
    await client.run("neighbour = 5");
    const { context_id } = (await client.call("create_context")).structured;
    const reply = await client.run("hog = []\nwhile True:\n    hog.append(bytearray(64 * 1024 * 1024))", { context_id });
    expect(reply.structured).toMatchObject({ status: "died", state: { variables: "lost", reason: "out_of_memory" } });
    expect((await client.run("neighbour")).structured.result).toBe("5");
  });

  it("tells a loss between two calls with the next reply, in its first line", async () => {
    const { context_id } = (await client.call("create_context")).structured;
    await client.run("import os, threading\nthreading.Timer(0.3, lambda: os._exit(3)).start()", { context_id });
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    const reply = await client.run("1 + 1", { context_id });
    expect(reply.structured).toMatchObject({
      status: "ok",
      result: "2",
      state: { variables: "lost", reason: "exited", incarnation: 2 },
    });
    expect(reply.text.split("\n")[0]).toContain("are lost");
    expect((await client.run("1", { context_id })).structured.state.variables).toBe("kept");
  });

  it("keeps the kernel when code calls sys.exit, exit or quit", async () => {
    await client.run("alive = 3");
    for (const code of ["import sys\nsys.exit(4)", "exit()", "quit()"]) {
      const reply = await client.run(code);
      expect(reply.structured).toMatchObject({ status: "error", error: { name: "SystemExit" }, stderr: "" });
    }
    expect((await client.run("alive")).structured.result).toBe("3");
  });

  it("reports errors that the kernel announces in its reply only", async () => {
    const group = await client.run("print('kept')\nraise ExceptionGroup('several', [ValueError('a'), TypeError('b')])");
    expect(group.structured).toMatchObject({ status: "error", stdout: "kept\n", error: { name: "ExceptionGroup" } });
    expect((await client.run("def broken(:")).structured).toMatchObject({ status: "error", error: { name: "SyntaxError" } });
  });

  it("stops code by cancel_execution and says what became of variables", async () => {
    const { context_id } = (await client.call("create_context")).structured;
    await client.run("kept = 1", { context_id });
    const running = client.run("import time\ntime.sleep(60)", { context_id });
    const queued = client.run("'never'", { context_id });
    await new Promise((resolve) => setTimeout(resolve, 700));
    expect((await client.call("get_context", { context_id })).structured).toMatchObject({ state: "busy", queued: 1 });
    const stopped = await client.call("cancel_execution", { context_id });
    expect(stopped.structured).toMatchObject({ outcome: "stopped", status: "cancelled", variables: "kept" });
    expect((await running).structured).toMatchObject({ status: "cancelled", error: null });
    expect((await queued).structured.result).toBe("'never'");
    const again = await client.call("cancel_execution", { execution_id: stopped.structured.execution_id });
    expect(again.structured.outcome).toBe("already_ended");
  });

  it("runs calls to one context one after the other, and contexts side by side", async () => {
    const replies = await Promise.all(
      [1, 2, 3].map((n) => client.run(`import time\ntime.sleep(0.2)\norder = globals().get('order', []) + [${n}]\norder`)),
    );
    expect(replies.map((reply) => reply.structured.result)).toEqual(["[1]", "[1, 2]", "[1, 2, 3]"]);
  });
});
