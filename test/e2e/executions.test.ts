import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type CallOptions, HOSTS, type Reply, startClient, type TestClient } from "../helpers/client.ts";
import { docker, eventually, guardAgainstLeaks, ourContainerInfos } from "../helpers/containers.ts";

guardAgainstLeaks();

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
/** Output at the beginning and at the end, so that a test can tell whether the end was reached. */
const slow = (seconds: number, last = "done") => `import time\nprint('begun', flush=True)\ntime.sleep(${seconds})\nprint('${last}')`;

let client: TestClient;
beforeAll(async () => {
  client = await startClient(undefined, ["--soft-deadline", "1"]);
});
afterAll(async () => await client.close());

/** One for a test, since a sandbox has not many. */
const contexts: string[] = [];
const newContext = async (): Promise<string> => {
  const { context_id } = (await client.call("create_context")).structured;
  contexts.push(context_id);
  return context_id;
};
afterEach(async () => {
  for (const context_id of contexts.splice(0)) await client.call("delete_context", { context_id });
});
const get = async (execution_id: string, args: Record<string, unknown> = {}, options: CallOptions = {}): Promise<Reply> =>
  await client.call("get_execution", { execution_id, ...args }, options);

describe.each(HOSTS)("a host with %s", (host) => {
  it("leaves code running in the background and looks it up again", async () => {
    await using own = await startClient(host);
    const begun = await own.run(`import time\ntime.sleep(1)\nprint('begun', flush=True)\n${slow(1)}\n40 + 2`, { background: true });
    expect(begun.structured).toMatchObject({ status: "running", result: null, error: null });
    expect(begun.text).toContain(`get_execution, execution_id ${begun.structured.execution_id}`);
    const { execution_id, stops_at } = begun.structured;
    expect(Date.parse(stops_at) - Date.now()).toBeGreaterThan(3_590_000);
    const seen: string[] = [];
    const ended = await own.call(
      "get_execution",
      { execution_id, wait_s: 50, after_event: 0 },
      { onprogress: ({ message }) => seen.push(message ?? "") },
    );
    expect(ended.structured).toMatchObject({ status: "ok", stdout: "begun\nbegun\ndone\n", result: "42", stops_at: null });
    expect(seen).toContain("begun");
    const types = ended.structured.events.map(({ type }: { type: string }) => type);
    expect([types[0], types.at(-1), types.includes("execute_result")]).toEqual(["status", "status", true]);
    expect(ended.structured.last_event).toBe(ended.structured.events.length);
    const again = await own.call("get_execution", { execution_id });
    expect(again.structured).toMatchObject({ status: "ok", result: "42", events: [], last_event: ended.structured.last_event });
  });
});

describe("the soft deadline", () => {
  it("answers with what there is, and the code goes on to its end", async () => {
    const context_id = await newContext();
    const first = await client.run(slow(3), { context_id });
    expect(first.structured).toMatchObject({ status: "running", stdout: "begun\n", notices: [expect.stringContaining("get_execution")] });
    expect(first.structured.duration_ms).toBeLessThan(2_500);
    const left = Date.parse(first.structured.stops_at) - Date.now();
    expect(left > 50_000 && left < 60_000).toBe(true);
    const { execution_id } = first.structured;
    const read = await client.readResource(`kernelbox://executions/${execution_id}`);
    expect(JSON.parse(read.text ?? "")).toMatchObject({ status: "running", execution_id, stdout: "begun\n" });
    const soon = await get(execution_id, { wait_s: 0.2 });
    expect(soon.structured.status).toBe("running");
    const ended = await get(execution_id, { wait_s: 20 });
    expect(ended.structured).toMatchObject({ status: "ok", stdout: "begun\ndone\n" });
    expect(JSON.parse((await client.readResource(`kernelbox://executions/${execution_id}`)).text ?? "").status).toBe("ok");
  });

  it("comes for code that waits its turn too, and says how long that may take", async () => {
    const context_id = await newContext();
    await client.run(slow(3), { context_id, background: true, timeout_s: 100 });
    const queued = await client.run("'second'", { context_id, timeout_s: 10 });
    expect(queued.structured).toMatchObject({ status: "queued", started_at: null });
    expect(queued.structured.notices.join()).toContain("1 execution of its context comes before it");
    const latest = Date.parse(queued.structured.stops_at) - Date.now();
    expect(latest > 100_000 && latest < 110_000).toBe(true);
    expect((await get(queued.structured.execution_id, { wait_s: 20 })).structured).toMatchObject({ status: "ok", result: "'second'" });
  });

  it("is told by get_execution with pictures, and stops at the timeout all the same", async () => {
    const context_id = await newContext();
    const plot = "import time\nimport matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()\ntime.sleep(60)";
    const { execution_id } = (await client.run(plot, { context_id, timeout_s: 6 })).structured;
    const ended = await get(execution_id, { wait_s: 30, after_event: 0 });
    expect(ended.structured).toMatchObject({ status: "timeout", state: { variables: "kept" } });
    expect(ended.images).toHaveLength(1);
    const shown = ended.structured.events.find(({ type }: { type: string }) => type === "display_data");
    expect(shown.data.mime["image/png"]).toBe(ended.structured.outputs[0].uri);
    expect(JSON.stringify(ended.structured)).not.toContain("iVBOR");
  });
});

describe("who stops what", () => {
  it("a call that is answered is nobody's: its host's late cancel stops nothing", async () => {
    await using own = await startClient("sdk 2, 2025-11-25", ["--soft-deadline", "1"]);
    const { execution_id } = (await own.run(slow(2))).structured;
    // Whatever the number of that request was.
    for (let requestId = 0; requestId < 20; requestId++)
      await own.client.notification({ method: "notifications/cancelled", params: { requestId } });
    const ended = await own.call("get_execution", { execution_id, wait_s: 20 });
    expect(ended.structured).toMatchObject({ status: "ok", stdout: "begun\ndone\n" });
  });

  it("a wait that is taken back stops nothing", async () => {
    const context_id = await newContext();
    const { execution_id } = (await client.run(slow(2), { context_id, background: true })).structured;
    const abort = new AbortController();
    const waiting = get(execution_id, { wait_s: 20 }, { signal: abort.signal }).catch(() => "left");
    await pause(300);
    abort.abort();
    expect(await waiting).toBe("left");
    expect((await get(execution_id, { wait_s: 20 })).structured).toMatchObject({ status: "ok", stdout: "begun\ndone\n" });
  });

  it("a host's cancel stops an attached call and leaves a detached one", async () => {
    await using own = await startClient();
    for (const [args, status] of [
      [{}, "cancelled"],
      [{ idempotency_key: "k" }, "ok"],
    ] as const) {
      const { context_id } = (await own.call("create_context")).structured;
      const abort = new AbortController();
      const code = slow(3);
      const left = own.run(code, { context_id, ...args }, { signal: abort.signal }).catch(() => "left");
      await pause(1_000);
      abort.abort("the user pressed stop");
      expect(await left).toBe("left");
      const state = async () => (await own.call("get_context", { context_id })).structured.state;
      if (status === "cancelled") await eventually(state, (seen) => seen === "idle", 1_500);
      else await pause(300);
      expect(await state()).toBe(status === "ok" ? "busy" : "idle");
      if (status === "ok")
        expect((await own.run(code, { context_id, ...args })).structured).toMatchObject({ status, stdout: "begun\ndone\n" });
    }
  });

  it("cancel_execution stops what runs in the background, drops what waits, and keeps variables", async () => {
    const context_id = await newContext();
    await client.run("kept = 1", { context_id });
    const running = (await client.run(slow(60), { context_id, background: true })).structured.execution_id;
    const queued = (await client.run("kept = 2", { context_id, background: true })).structured;
    expect(queued.status).toBe("queued");
    const dropped = await client.call("cancel_execution", { execution_id: queued.execution_id });
    expect(dropped.structured).toMatchObject({ outcome: "dropped", status: "cancelled", variables: "kept" });
    const waiting = get(running, { wait_s: 50 });
    const stopped = await client.call("cancel_execution", { context_id });
    expect(stopped.structured).toMatchObject({ execution_id: running, outcome: "stopped", variables: "kept" });
    expect((await waiting).structured).toMatchObject({ status: "cancelled", stdout: "begun\n", error: null });
    expect((await get(queued.execution_id)).structured).toMatchObject({ status: "cancelled", stdout: "" });
    expect((await client.run("kept", { context_id })).structured.result).toBe("1");
    expect((await client.call("cancel_execution", { execution_id: running })).structured.outcome).toBe("already_ended");
  });
});

describe("an idempotency key", () => {
  it("runs code once, whether it is sent twice at once, while it runs, or after its end", async () => {
    const context_id = await newContext();
    const code = "import time\nruns = globals().get('runs', 0) + 1\ntime.sleep(0.5)\nruns";
    const args = { context_id, idempotency_key: "first" };
    const both = await Promise.all([client.run(code, args), client.run(code, { ...args, timeout_s: 5 })]);
    const after = await client.run(code, args);
    for (const reply of [...both, after]) {
      expect(reply.structured).toMatchObject({ status: "ok", result: "1", execution_id: both[0].structured.execution_id });
    }
    expect((await client.run(code, { ...args, idempotency_key: "second" })).structured.result).toBe("2");
    const other = await newContext();
    expect((await client.run(code, { ...args, context_id: other })).structured.result).toBe("1");
  });

  it("holds for the default context too, before there is one", async () => {
    await using own = await startClient();
    const code = "runs = globals().get('runs', 0) + 1\nruns";
    const both = await Promise.all([1, 2].map(() => own.run(code, { idempotency_key: "k", background: true })));
    expect(both[0]?.structured.execution_id).toBe(both[1]?.structured.execution_id);
    const ended = await own.call("get_execution", { execution_id: both[0]?.structured.execution_id, wait_s: 20 });
    expect(ended.structured.result).toBe("1");
  });

  it("is refused for other code, which does not run", async () => {
    const context_id = await newContext();
    const { execution_id } = (await client.run("x = 1", { context_id, idempotency_key: "k" })).structured;
    const refused = await client.run("x = 2", { context_id, idempotency_key: "k" });
    expect(refused.error).toMatchObject({ code: "invalid_argument", message: expect.stringContaining(execution_id) });
    expect((await client.run("x", { context_id })).structured.result).toBe("1");
  });
});

describe("events", () => {
  it("are told once each, in order, from behind any number, also those that come after the end", async () => {
    const context_id = await newContext();
    const late = "import threading, time\nthreading.Timer(4, lambda: print('late')).start()\n";
    const { execution_id } = (await client.run(`${late}for n in range(5):\n    print(n, flush=True)\n    time.sleep(0.3)`, { context_id }))
      .structured;
    let after = 0;
    const told: { seq: number; timestamp: string; data: { text?: string } }[] = [];
    await eventually(
      async () => {
        const { events, last_event } = (await get(execution_id, { after_event: after })).structured;
        told.push(...events);
        after = last_event;
        return told;
      },
      (events) => events.some((event) => event.data.text?.includes("late")),
      20_000,
    );
    expect(told.map((event) => event.seq)).toEqual(told.map((_, n) => n + 1));
    expect(told.map((event) => event.data.text ?? "").join("")).toBe("0\n1\n2\n3\n4\nlate\n");
    expect(told.every((event) => /^\d{4}-\d\d-\d\dT[\d:]+\.\d{3}Z$/.test(event.timestamp))).toBe(true);
    expect((await get(execution_id)).structured.stdout).toBe("0\n1\n2\n3\n4\nlate\n");
  });

  it("of thousands of small writes and displays all come, in pages below the bound of a reply, without delay for others", async () => {
    const context_id = await newContext();
    const other = await newContext();
    const code =
      "import sys\nfrom IPython.display import display\nfor n in range(8000):\n    sys.stdout.write(f'{n}\\n')\n    sys.stdout.flush()\n" +
      "for n in range(1000):\n    display({'text/plain': f'd{n}', 'text/html': '<i>'}, raw=True)";
    const { execution_id } = (await client.run(code, { context_id, background: true })).structured;
    const began = Date.now();
    expect((await client.run("1 + 1", { context_id: other })).structured.result).toBe("2");
    expect(Date.now() - began).toBeLessThan(3_000);
    expect((await get(execution_id, { wait_s: 50 })).structured.status).toBe("ok");
    let text = "";
    const displays: string[] = [];
    let last = 0;
    for (let after = 0, pages = 0; pages < 200; pages++) {
      const reply = await get(execution_id, { after_event: after });
      expect(reply.bytes).toBeLessThan(900_000);
      const { events, last_event, notices } = reply.structured;
      for (const { seq, type, data } of events) {
        expect(seq).toBe(++last);
        if (type === "stream") text += data.text;
        if (type === "display_data") displays.push(data.mime["text/plain"]);
      }
      if (events.length === 0) break;
      if (last_event < 8_000)
        expect([notices.join(), reply.text]).toEqual(Array(2).fill(expect.stringContaining(`after_event ${last_event}`)));
      after = last_event;
    }
    expect(text).toBe(Array.from({ length: 8_000 }, (_, n) => `${n}\n`).join(""));
    expect(displays).toEqual(Array.from({ length: 1_000 }, (_, n) => `d${n}`));
  });
});

describe("losses of code that nobody waited for", () => {
  const stubborn = "import os, time\nprint('x', flush=True)\ntime.sleep(0.3)\nos._exit(3)";

  it("are told by get_execution, and then no more", async () => {
    const context_id = await newContext();
    const { execution_id } = (await client.run(stubborn, { context_id, background: true })).structured;
    // Nothing is asked of the execution meanwhile, or that reply would tell the loss.
    await eventually(
      () => client.call("get_context", { context_id }),
      ({ structured: { incarnation, state } }) => incarnation === 2 && state === "idle",
      20_000,
    );
    const told = await get(execution_id);
    expect(told.structured).toMatchObject({ status: "died", state: { variables: "lost", reason: "exited", incarnation: 2 } });
    expect(told.text.split("\n")[0]).toContain("variables are lost");
    expect((await client.run("1", { context_id })).structured.state).toMatchObject({ variables: "kept", incarnation: 2 });
  });

  it("are told for a sandbox that is gone as well, with what the code had said", async () => {
    const before = (await ourContainerInfos()).map(({ Id }) => Id);
    await using own = await startClient();
    const { execution_id } = (await own.run(slow(60), { background: true })).structured;
    await eventually(
      () => own.call("get_execution", { execution_id }),
      (reply) => reply.structured.stdout === "begun\n",
      10_000,
    );
    const [container] = (await ourContainerInfos()).filter(({ Id }) => !before.includes(Id));
    await docker.getContainer(container?.Id ?? "").kill();
    const ended = await own.call("get_execution", { execution_id, wait_s: 20, after_event: 0 });
    expect(ended.structured).toMatchObject({ status: "died", stdout: "begun\n", state: { variables: "lost", reason: "sandbox_lost" } });
    expect(ended.structured.events.at(-1)).toMatchObject({ seq: 3, type: "status", data: { state: "died", reason: "sandbox_lost" } });
    const again = await own.call("execute_code", { code: "1" });
    expect(again.structured).toMatchObject({ status: "ok", result: "1" });
  });

  it("are told by the next code where nobody asked", async () => {
    const context_id = await newContext();
    await client.run(stubborn, { context_id, background: true });
    await pause(2_000);
    expect((await client.run("1", { context_id })).structured.state).toMatchObject({ variables: "lost", reason: "exited" });
    expect((await client.run("1", { context_id })).structured.state.variables).toBe("kept");
  });
});

describe("order", () => {
  it("of one context is that of arrival, and contexts run side by side", async () => {
    const [one, two] = [await newContext(), await newContext()];
    await client.run(slow(2.5), { context_id: one, background: true });
    const ids = await Promise.all(
      [1, 2, 3].map((n) => client.run(`order = globals().get('order', []) + [${n}]\norder`, { context_id: one, background: true })),
    );
    expect((await client.run("'beside'", { context_id: two })).structured).toMatchObject({ status: "ok", result: "'beside'" });
    const results = await Promise.all(ids.map((reply) => get(reply.structured.execution_id, { wait_s: 30 })));
    expect(results.map((reply) => reply.structured.result)).toEqual(["[1]", "[1, 2]", "[1, 2, 3]"]);
  });

  it("has so many that wait; one more is told how many, how long, and what to cancel", async () => {
    const context_id = await newContext();
    const first = (await client.run(slow(60), { context_id, background: true, timeout_s: 300 })).structured.execution_id;
    const all = await Promise.all(
      Array.from({ length: 101 }, () => client.run("1", { context_id, background: true, idempotency_key: undefined })),
    );
    const refused = all.filter((reply) => reply.isError);
    expect(refused).toHaveLength(1);
    expect(refused[0]?.error).toMatchObject({
      code: "limit_exceeded",
      message: "The queue of this context was full; 100 executions wait in it now.",
      hint: expect.stringContaining(first),
      details: { running_execution_id: first, waiting: 100 },
    });
    expect(Date.parse(String(refused[0]?.error?.details?.stops_at)) - Date.now()).toBeGreaterThan(250_000);
    expect(refused[0]?.error?.hint).toMatch(/cancel_execution/);
    // A retry with a key after a refusal runs, since the refused call never was.
    const key = { context_id, idempotency_key: "retried", background: true };
    expect((await client.run("'retried'", key)).error?.code).toBe("limit_exceeded");
    await client.call("cancel_execution", { execution_id: first });
    const { execution_id } = (await client.run("'retried'", key)).structured;
    expect((await get(execution_id, { wait_s: 40 })).structured.result).toBe("'retried'");
  });
});

describe("bad input", () => {
  it.each([
    ["", "empty"],
    [" \n\t\n", "empty"],
    ["x = 1\ny = '\0'", "NUL character at line 2, column 6"],
    ["é = '\ud800'", "half of a surrogate pair at line 1, column 6"],
  ])("%j is refused", async (code, said) => {
    const reply = await client.run(code);
    expect(reply.error).toMatchObject({ code: "invalid_argument", message: expect.stringContaining(said) });
    expect(reply.error?.hint).not.toBe("");
  });

  it("waits and handles that cannot be are refused with what can", async () => {
    for (const wait_s of [-1, 51]) expect((await get("exe_x", { wait_s })).error?.message).toContain("wait_s");
    expect((await get("exe_x", { after_event: -1 })).error?.message).toContain("after_event");
    expect((await get("exe_AAAAAAAAAAAAAAAAAAAAAA")).error).toMatchObject({ code: "not_found" });
    const { execution_id, sandbox_id } = (await client.run("1")).structured;
    const wrong = await get(execution_id, { sandbox_id: `${sandbox_id.slice(0, -1)}_` });
    expect(wrong.error?.code).toBe("invalid_argument");
    expect((await client.run("1", { timeout_s: 3_601, background: true })).error?.message).toContain("timeout_s");
    expect((await client.run("1", { idempotency_key: "" })).error?.message).toContain("idempotency_key");
    expect((await client.run("1", { idempotency_key: "k".repeat(256) })).error?.message).toContain("idempotency_key");
  });
});
