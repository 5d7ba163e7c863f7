import { describe, expect, it } from "vitest";
import { startClient } from "../helpers/client.ts";
import { docker, eventually, guardAgainstLeaks, ourContainerInfos } from "../helpers/containers.ts";

guardAgainstLeaks();

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

async function killContainer(): Promise<void> {
  const [container] = await ourContainerInfos();
  await docker.getContainer(container?.Id ?? "").kill();
}

describe("a sandbox that is lost", () => {
  it("is told by the first code that runs after it, whatever was called between and in whatever context", async () => {
    await using client = await startClient();
    const first = (await client.call("create_context")).structured;
    await client.run("kept = 1", { context_id: first.context_id });
    await killContainer();
    await eventually(
      () => client.call("get_context", { context_id: first.context_id }),
      (reply) => reply.error?.code === "sandbox_lost",
      10_000,
    );
    expect((await client.call("write_file", { path: "a", content: "x" })).isError).toBe(false);
    const { context_id } = (await client.call("create_context")).structured;
    const told = await client.run("'kept' in globals()", { context_id });
    expect(told.structured).toMatchObject({ result: "False", state: { variables: "lost", reason: "sandbox_lost" } });
    expect(told.text.split("\n")[0]).toMatch(/Variables and files from before this call are lost/);
    expect((await client.run("1", { context_id })).structured.state.variables).toBe("kept");
    expect((await client.call("delete_context", { context_id: first.context_id })).structured).toMatchObject({ deleted: false });
  });

  it("ends what runs, in a flood of output, with a message that is true and an output that can be read", async () => {
    await using client = await startClient();
    const { context_id } = (await client.call("create_context")).structured;
    const flood =
      "from IPython.display import display\nprint('x' * 100_000)\nn = 0\nwhile True:\n    display({'text/plain': str(n)}, raw=True)\n    n += 1";
    const running = client.run(flood, { context_id });
    await pause(2_000);
    await killContainer();
    const { structured } = await running;
    expect(structured).toMatchObject({ status: "died", state: { variables: "lost", reason: "sandbox_lost" } });
    expect(structured.state.message).toMatch(/the sandbox is gone .* Call again without ids/);
    expect(structured.state.message).not.toContain("works on");
    expect((await client.call("read_file", { path: structured.truncated[0].rest, limit_bytes: 10 })).structured.content).toBe("xxxxxxxxxx");
    expect((await client.run("1 + 1")).structured).toMatchObject({ result: "2", state: { variables: "lost" } });
  });
});

describe("a loss whose reply nobody got", () => {
  it("is told by the next one", async () => {
    await using client = await startClient();
    await client.run("kept = 1");
    const abort = new AbortController();
    const stubborn = "import time\nwhile True:\n    try:\n        time.sleep(60)\n    except KeyboardInterrupt:\n        pass";
    const running = client.run(stubborn, {}, { signal: abort.signal }).catch(() => "left");
    await pause(1_000);
    // Some hosts give a text as their reason.
    abort.abort("the user pressed stop");
    expect(await running).toBe("left");
    const next = await client.run("'kept' in globals()");
    expect(next.structured).toMatchObject({ result: "False", state: { variables: "lost", incarnation: 2 } });
    expect((await client.run("1")).structured.state.variables).toBe("kept");
  });

  it("is told once, whatever cost the variables after it", async () => {
    await using client = await startClient();
    const ended = async (code: string) => {
      const { execution_id, context_id } = (await client.run(code, { background: true })).structured;
      await eventually(
        () => client.call("get_context", { context_id }),
        (reply) => reply.structured.state === "idle" && reply.structured.queued === 0,
        10_000,
      );
      return { execution_id, context_id };
    };
    const { context_id } = await ended("import os\nos._exit(3)");
    await client.call("restart_context", { context_id });
    expect((await client.run("x = 1")).structured.state).toMatchObject({ variables: "lost", reason: "restarted" });
    expect((await client.run("x")).structured).toMatchObject({ result: "1", state: { variables: "kept" } });
  });

  it("is not said of what was made since", async () => {
    await using client = await startClient();
    const lost = (await client.run("import os, time\ntime.sleep(2)\nos._exit(3)", { background: true })).structured;
    await client.run("x = 7", { background: true });
    // Nothing is asked of the executions, or that reply would tell the loss.
    await eventually(
      () => client.call("get_context", { context_id: lost.context_id }),
      ({ structured: { incarnation, state, queued } }) => incarnation === 2 && state === "idle" && queued === 0,
      10_000,
    );
    const { structured } = await client.run("x");
    expect(structured).toMatchObject({ result: "7", state: { variables: "lost", reason: "exited" } });
    expect(structured.state.message).toMatch(`Variables from execution ${lost.execution_id} and before it are lost`);
  });

  it("is not laid to the code that is cancelled after it", async () => {
    await using client = await startClient();
    const { context_id } = (await client.run("import os, threading\nthreading.Timer(0.2, lambda: os._exit(3)).start()")).structured;
    const state = async () => (await client.call("get_context", { context_id })).structured.state;
    await eventually(state, (seen) => seen === "dead", 20_000);
    const running = client.run("import time\nopen('begun', 'w').close()\ntime.sleep(60)");
    await eventually(
      () => client.call("read_file", { path: "begun" }),
      (reply) => !reply.isError,
      20_000,
    );
    const cancelled = await client.call("cancel_execution", { context_id });
    expect(cancelled.structured).toMatchObject({ outcome: "stopped", variables: "kept" });
    expect((await running).structured.state).toMatchObject({ variables: "lost", reason: "exited" });
  });
});

describe("handles that do not belong together", () => {
  it("are refused by every tool that takes both, and changed by none", async () => {
    await using client = await startClient();
    const { context_id, sandbox_id, execution_id } = (await client.run("x = 1")).structured;
    const wrong = `${sandbox_id.slice(0, -1)}${sandbox_id.endsWith("a") ? "b" : "a"}`;
    for (const [tool, args] of [
      ["get_context", { context_id }],
      ["restart_context", { context_id }],
      ["delete_context", { context_id }],
      ["cancel_execution", { context_id }],
      ["cancel_execution", { execution_id }],
    ] as const) {
      const reply = await client.call(tool, { ...args, sandbox_id: wrong });
      expect(reply.error?.code, tool).toBe("invalid_argument");
    }
    expect((await client.run("x", { context_id, sandbox_id })).structured.result).toBe("1");
  });
});
