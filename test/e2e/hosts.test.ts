import { describe, expect, it } from "vitest";
import { HOSTS, startClient } from "../helpers/client.ts";
import { eventually, guardAgainstLeaks } from "../helpers/containers.ts";

guardAgainstLeaks();

const TOOLS = [
  "execute_code",
  "get_execution",
  "cancel_execution",
  "create_context",
  "list_contexts",
  "get_context",
  "restart_context",
  "delete_context",
  "read_file",
  "write_file",
  "list_directory",
  "upload_file",
  "download_file",
  "run_command",
  "get_process",
  "kill_process",
];

describe.each(HOSTS)("a host with %s", (host) => {
  it("speaks its own protocol version, and learns which resources there can be", async () => {
    await using client = await startClient(host);
    expect(client.protocol).toBe(host.split(", ")[1]);
    const { resourceTemplates } = await client.client.listResourceTemplates();
    expect(resourceTemplates.map((template: { uriTemplate: string }) => template.uriTemplate)).toEqual([
      "kernelbox://sandboxes/{sandbox_id}/files/{+path}",
      "kernelbox://files/{file_id}",
      "kernelbox://contexts/{context_id}/notebook",
      "kernelbox://executions/{execution_id}",
      "kernelbox://executions/{execution_id}/{stream}",
      "kernelbox://executions/{execution_id}/outputs/{n}",
      "kernelbox://executions/{execution_id}/outputs/{n}/{+type}",
      "kernelbox://processes/{process_id}/{stream}",
    ]);
    expect((await client.client.listResources()).resources).toEqual([]);
  });

  it("lists the tools, calls each of them, and reads what replies link to", async () => {
    await using client = await startClient(host);
    const { tools } = await client.client.listTools();
    expect(tools.map((tool: { name: string }) => tool.name)).toEqual(TOOLS);

    const first = await client.run("x = 20\nprint('out')\nimport sys; print('err', file=sys.stderr)\nx * 2");
    expect(first).toMatchObject({
      isError: false,
      structured: { status: "ok", stdout: "out\n", stderr: "err\n", result: "40", result_json: 40, execution_count: 1, error: null },
    });
    expect(first.text).toContain("```stdout\nout\n```");
    expect(first.text).toContain("```stderr\nerr\n```");
    expect(first.text).toContain("```result\n40\n```");

    const plot = await client.run(
      "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()\nopen('data.csv', 'w').write('a,b\\n1,2\\n')\nx + 1",
    );
    expect(plot.structured).toMatchObject({ status: "ok", result: "21", state: { variables: "kept", incarnation: 1 } });
    expect(plot.images).toHaveLength(1);
    expect(
      Buffer.from(plot.images[0]?.data ?? "", "base64")
        .subarray(1, 4)
        .toString(),
    ).toBe("PNG");
    expect(plot.structured.outputs[0]).toMatchObject({ n: 1, type: "image/png", width_px: expect.any(Number) });
    expect(plot.structured.files).toMatchObject([{ path: "/home/user/data.csv", change: "created", size_bytes: 8 }]);

    // Each link reads both ways, through the resource and through the tool.
    const picture = await client.readResource(plot.structured.outputs[0].uri);
    expect(picture).toMatchObject({ mimeType: "image/png", blob: plot.images[0]?.data });
    const csv = await client.readResource(plot.structured.files[0].uri);
    expect(csv).toMatchObject({ mimeType: "text/csv", text: "a,b\n1,2\n" });
    expect((await client.call("read_file", { path: plot.structured.files[0].uri })).structured.content).toBe("a,b\n1,2\n");
    expect((await client.call("read_file", { path: plot.structured.outputs[0].uri })).images).toHaveLength(1);
    const { resources } = await client.client.listResources();
    expect(resources.map((resource: { uri: string }) => resource.uri)).toContain(plot.structured.files[0].uri);

    await client.call("write_file", { path: "notes/a.txt", content: "one\ntwo\n" });
    expect((await client.call("read_file", { path: "notes/a.txt", offset: 2 })).structured).toMatchObject({ content: "two\n", lines: 2 });
    const listed = await client.call("list_directory", { path: "/home/user", depth: 2 });
    expect(listed.structured.entries.map((entry: { path: string }) => entry.path)).toEqual([
      "/home/user/data.csv",
      "/home/user/notes",
      "/home/user/notes/a.txt",
    ]);

    const context = (await client.call("create_context", { name: "second", env: { GREETING: "grüß dich" } })).structured;
    expect(context).toMatchObject({ language: "python", name: "second", state: "idle", incarnation: 1, cwd: "/home/user" });
    const inSecond = await client.run("import os\nos.environ['GREETING'], 'x' in globals()", { context_id: context.context_id });
    expect(inSecond.structured.result).toBe("('grüß dich', False)");
    expect((await client.call("list_contexts")).structured.contexts).toHaveLength(2);
    expect((await client.call("get_context", { context_id: context.context_id })).structured.context_id).toBe(context.context_id);
    expect((await client.call("restart_context", { context_id: context.context_id })).structured.incarnation).toBe(2);
    expect((await client.run("1", { context_id: context.context_id })).structured.state).toMatchObject({
      incarnation: 2,
      variables: "lost",
      reason: "restarted",
    });
    expect((await client.call("delete_context", { context_id: context.context_id })).structured.deleted).toBe(true);
    expect((await client.call("delete_context", { context_id: context.context_id })).structured.deleted).toBe(false);
  });

  it("streams progress, and the host's cancel stops the code", async () => {
    await using client = await startClient(host);
    await client.run("survivor = 1");
    const told: string[] = [];
    const numbers: number[] = [];
    await client.run(
      "import time\nfor i in range(4):\n    print('step', i, flush=True)\n    time.sleep(0.3)",
      {},
      {
        onprogress: (progress) => {
          told.push(progress.message ?? "");
          numbers.push(progress.progress);
        },
      },
    );
    expect(told).toContain("step 1");
    expect(numbers).toEqual([...numbers].sort((a, b) => a - b));

    const abort = new AbortController();
    const cancelled = client.run(
      "import time\nopen('started', 'w').close()\ntime.sleep(60)\nopen('finished', 'w').close()",
      {},
      { signal: abort.signal },
    );
    const left = expect(cancelled).rejects.toThrow();
    await eventually(
      () => client.call("read_file", { path: "started" }),
      (reply) => !reply.isError,
      20_000,
    );
    abort.abort();
    await left;
    const startedAt = Date.now();
    const after = await client.run("import os\nsurvivor, os.path.exists('started'), os.path.exists('finished')");
    expect(after.structured.result).toBe("(1, True, False)");
    expect(Date.now() - startedAt).toBeLessThan(5_000);
  });
});
