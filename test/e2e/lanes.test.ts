import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { LIMITS } from "../../src/limits.ts";
import { type Reply, startClient, type TestClient } from "../helpers/client.ts";
import { eventually, guardAgainstLeaks } from "../helpers/containers.ts";

guardAgainstLeaks();

let client: TestClient;
beforeAll(async () => {
  client = await startClient();
});
afterAll(async () => await client.close());

/** Every fact of the fields that a reader of text needs stands in the prose too. */
function expectBothLanes({ text, structured }: Reply): void {
  const { error, outputs, files } = structured;
  for (const part of [structured.stdout, structured.stderr, structured.result ?? "", error?.name, error?.value, error?.traceback]) {
    expect(text).toContain((part ?? "").trimEnd());
  }
  for (const output of outputs) {
    for (const fact of [output.type, output.uri, `${output.size_bytes} bytes`, `Output ${output.n}:`]) expect(text).toContain(fact);
    if (output.width_px !== null) expect(text).toContain(`${output.width_px} × ${output.height_px} px`);
  }
  for (const file of files) expect(text).toContain(`File ${file.change}: "${file.path}" (${file.size_bytes} bytes) ${file.uri}`);
  for (const fact of [structured.context_id, structured.execution_id, `incarnation ${structured.state.incarnation}`]) {
    expect(text).toContain(fact);
  }
  expect(text).toContain(`${structured.duration_ms} ms`);
  // Pictures come as image blocks, never as text among the fields.
  expect(JSON.stringify(structured)).not.toMatch(/[A-Za-z0-9+/=]{1001}/);
}

describe("a reply is complete in each lane", () => {
  it("with streams, a value, a picture and a file", async () => {
    const reply = await client.run(
      "import sys\nimport matplotlib.pyplot as plt\nprint('to stdout')\nprint('to stderr', file=sys.stderr)\nplt.plot([1, 2])\nplt.show()\n" +
        "open('made here.csv', 'w').write('a\\n')\n{'answer': 42}",
    );
    expect(reply.structured).toMatchObject({
      status: "ok",
      stdout: "to stdout\n",
      stderr: "to stderr\n",
      result: "{'answer': 42}",
      result_json: { answer: 42 },
      outputs: [
        { n: 1, type: "image/png", mime_types: expect.arrayContaining(["image/png"]), chart: { kind: "line", series: [{ y: [1, 2] }] } },
      ],
      files: [{ path: "/home/user/made here.csv", change: "created", size_bytes: 2 }],
      truncated: [],
      notices: [],
    });
    expectBothLanes(reply);
    expect(reply.text).toContain("Ran to its end");
    expect(reply.images).toHaveLength(1);
    expect(reply.links.map((link) => link.name)).toEqual(["output 1", "made here.csv"]);
    for (const { uri } of reply.links) {
      const resource = await client.readResource(uri);
      const read = await client.call("read_file", { path: uri });
      if (resource.text === undefined) expect(read.images[0]?.data).toBe(resource.blob);
      else expect(read.structured.content).toBe(resource.text);
    }
  });

  it("with an error and what came before it", async () => {
    const reply = await client.run("def fails():\n    raise ValueError('bad value')\nprint('before')\nfails()");
    expect(reply.structured).toMatchObject({ status: "error", stdout: "before\n", error: { name: "ValueError", value: "bad value" } });
    expect(reply.structured.error.traceback).toContain("in fails()");
    expectBothLanes(reply);
    expect(reply.text).toContain("Raised an error");
  });

  it("with a file that was changed", async () => {
    await client.run("open('changed.txt', 'w').write('one')");
    const reply = await client.run("open('changed.txt', 'a').write(' two')");
    expect(reply.structured.files).toMatchObject([{ path: "/home/user/changed.txt", change: "modified", size_bytes: 7 }]);
    expectBothLanes(reply);
  });
});

describe("arguments do what they say", () => {
  it("env is there for one execution only", async () => {
    const look = "import os\nos.environ.get('KERNELBOX_TEST')";
    expect((await client.run(look, { env: { KERNELBOX_TEST: "grüß" } })).structured.result).toBe("'grüß'");
    expect((await client.run(look)).structured.result).toBeNull();
  });

  it("write_file takes base64, and appends as often as it is told to", async () => {
    const bytes = Buffer.from([0, 255, 10, 128]);
    const args = { path: "raw.bin", content: bytes.toString("base64"), encoding: "base64", mode: "600" };
    expect((await client.call("write_file", args)).structured).toMatchObject({ path: "/home/user/raw.bin", size_bytes: 4, created: true });
    for (const size_bytes of [8, 12]) {
      const reply = await client.call("write_file", { ...args, append: true });
      expect(reply.structured).toMatchObject({ size_bytes, created: false });
      expect(reply.text).toContain("Appended to");
    }
    const read = (await client.call("read_file", { path: "raw.bin", encoding: "base64" })).structured;
    expect(Buffer.from(read.content, "base64")).toEqual(Buffer.concat([bytes, bytes, bytes]));
    expect(read).toMatchObject({ mode: "600", mime_type: "application/octet-stream" });
  });

  it("sandbox_id names one's own sandbox, in every tool", async () => {
    const { sandbox_id, context_id } = (await client.run("here = 1")).structured;
    expect((await client.run("here", { sandbox_id })).structured).toMatchObject({ result: "1", context_id });
    await client.call("write_file", { path: "named.txt", content: "x", sandbox_id });
    expect((await client.call("read_file", { path: "named.txt", sandbox_id })).structured.content).toBe("x");
    expect((await client.call("list_directory", { sandbox_id })).isError).toBe(false);
    expect((await client.call("list_contexts", { sandbox_id })).structured.contexts).toMatchObject([{ context_id, sandbox_id }]);
    expect((await client.call("get_context", { context_id, sandbox_id })).structured.sandbox_id).toBe(sandbox_id);
    const made = (await client.call("create_context", { sandbox_id })).structured;
    expect(made.sandbox_id).toBe(sandbox_id);
    expect((await client.call("delete_context", { context_id: made.context_id, sandbox_id })).structured.deleted).toBe(true);
  });
});

describe("code that does not simply run to its end", () => {
  const busy = async (context_id: string, queued: number) =>
    await eventually(
      async () => (await client.call("get_context", { context_id })).structured,
      (context) => context.state === "busy" && context.queued === queued,
      5_000,
    );

  it("is dropped from the queue when its host takes the call back", async () => {
    const { context_id } = (await client.call("create_context")).structured;
    const first = client.run("import time\ntime.sleep(2)", { context_id });
    const abort = new AbortController();
    const dropped = client.run("ran = True", { context_id }, { signal: abort.signal });
    await busy(context_id, 1);
    abort.abort();
    await expect(dropped).rejects.toThrow();
    await busy(context_id, 0);
    expect((await first).structured.status).toBe("ok");
    expect((await client.run("'ran' in globals()", { context_id })).structured).toMatchObject({
      result: "False",
      state: { variables: "kept" },
    });
    await client.call("delete_context", { context_id });
  });

  it("ends with its context's kernel, when that is restarted or deleted", async () => {
    const { context_id } = (await client.call("create_context")).structured;
    const restarted = client.run("import time\nprint('begun', flush=True)\ntime.sleep(60)", { context_id });
    await busy(context_id, 0);
    expect((await client.call("restart_context", { context_id })).structured).toMatchObject({ incarnation: 2 });
    const reply = await restarted;
    expect(reply.structured).toMatchObject({ status: "cancelled", error: null, state: { variables: "lost", reason: "restarted" } });
    expect(reply.text.split("\n")[0]).toContain("variables are lost");
    const deleted = client.run("import time\ntime.sleep(60)", { context_id });
    await busy(context_id, 0);
    expect((await client.call("delete_context", { context_id })).structured.deleted).toBe(true);
    expect((await deleted).structured).toMatchObject({ status: "cancelled", state: { variables: "lost" } });
    expect((await client.run("1", { context_id })).error).toMatchObject({ code: "not_found" });
  });

  it("gives a sign of life while it is silent", async () => {
    const told: number[] = [];
    const startedAt = Date.now();
    const onprogress = () => told.push(Date.now() - startedAt);
    await client.run("import time\ntime.sleep(1)\nprint('once', flush=True)\ntime.sleep(6)", {}, { onprogress });
    expect(told.length).toBeGreaterThanOrEqual(2);
    const gaps = told.slice(1).map((at, index) => at - (told[index] ?? 0));
    expect(Math.max(...gaps)).toBeLessThan(LIMITS.progressIntervalMs + 1_000);
  });
});
