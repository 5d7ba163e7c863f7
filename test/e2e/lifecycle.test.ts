import { once } from "node:events";
import { hostname } from "node:os";
import { describe, expect, it } from "vitest";
import { LIMITS } from "../../src/limits.ts";
import { startClient } from "../helpers/client.ts";
import { docker, eventually, guardAgainstLeaks, ourContainerInfos, ourContainers } from "../helpers/containers.ts";

guardAgainstLeaks();

const isGone = (pid: number) => {
  try {
    process.kill(pid, 0);
    return false;
  } catch {
    return true;
  }
};

describe("the life of a sandbox", () => {
  it("is made by the first call that needs it, not before", async () => {
    await using client = await startClient();
    await client.client.listTools();
    expect((await client.call("list_contexts")).structured.contexts).toEqual([]);
    expect((await client.client.listResources()).resources).toEqual([]);
    expect(await ourContainers()).toEqual([]);
    const [a, b] = await Promise.all([client.run("1"), client.call("list_directory")]);
    expect([a.isError, b.isError]).toEqual([false, false]);
    expect(await ourContainers()).toHaveLength(1);
  });

  it("bears who made it, where, when and from which image, and has its home on the workspace", async () => {
    await using client = await startClient();
    const { structured } = await client.run("import os\n[os.environ['HOME'], os.getcwd(), os.environ.get('USER')]");
    expect(structured.result_json).toEqual(["/home/user", "/home/user", "user"]);
    const [container] = await ourContainerInfos();
    const labels = container?.Labels ?? {};
    expect(labels["kernelbox.owner"]).toMatch(/^[0-9a-f]{16}$/);
    expect(labels["kernelbox.host"]).toBe(hostname());
    expect(labels["kernelbox.image"]).toBe(container?.Image);
    expect(Math.abs(Date.now() - Date.parse(labels["kernelbox.created"] ?? ""))).toBeLessThan(60_000);
  });

  it.each(["SIGTERM", "SIGINT"] as const)("ends with its server at %s, also while code runs", async (signal) => {
    const client = await startClient();
    await client.run("1");
    const running = client.run("import time\ntime.sleep(60)").catch(() => "cut off");
    await new Promise((resolve) => setTimeout(resolve, 300));
    const startedAt = Date.now();
    process.kill(client.pid, signal);
    await eventually(ourContainers, (containers) => containers.length === 0, 10_000);
    await eventually(async () => isGone(client.pid), Boolean, 10_000);
    expect(Date.now() - startedAt).toBeLessThan(10_000);
    await running;
    await client.close();
  });

  it("ends when the host closes stdin", async () => {
    const client = await startClient();
    await client.run("1");
    expect(await ourContainers()).toHaveLength(1);
    await client.close();
    await eventually(ourContainers, (containers) => containers.length === 0, 10_000);
    await eventually(async () => isGone(client.pid), Boolean, 10_000);
  });

  it("leaves nothing when the server is told to end while the sandbox is being made", async () => {
    const client = await startClient();
    const cut = client.run("1").catch(() => "cut off");
    await new Promise((resolve) => setTimeout(resolve, 150));
    process.kill(client.pid, "SIGTERM");
    await cut;
    await eventually(async () => isGone(client.pid), Boolean, 20_000);
    expect(await ourContainers()).toEqual([]);
    await client.close();
  });

  it("is replaced when its container is killed, and the next replies say what was lost", async () => {
    await using client = await startClient();
    const before = await client.run("x = 1\nopen('file.txt', 'w').write('gone')");
    const running = client.run("import time\ntime.sleep(60)");
    await new Promise((resolve) => setTimeout(resolve, 300));
    const [container] = await ourContainerInfos();
    await docker.getContainer(container?.Id ?? "").kill();
    expect((await running).structured).toMatchObject({ status: "died", state: { variables: "lost", reason: "sandbox_lost" } });
    const file = await client.call("read_file", { path: "file.txt" });
    expect(file.error).toMatchObject({ code: "sandbox_lost" });
    const after = await client.run("'x' in globals()");
    expect(after.structured).toMatchObject({
      result: "False",
      state: { variables: "lost", reason: "sandbox_lost", incarnation: before.structured.state.incarnation + 1 },
    });
    expect(after.structured.sandbox_id).not.toBe(before.structured.sandbox_id);
    expect(after.text.split("\n")[0]).toContain("are lost");
    expect((await client.call("get_context", { context_id: before.structured.context_id })).error?.code).toBe("not_found");
    expect((await client.run("1")).structured.state).toMatchObject({ variables: "kept", incarnation: 2 });
  });

  it("takes a file at the bound of write_file, and ends with its container at a message that no host needs", async () => {
    const client = await startClient();
    const content = "\u0001".repeat(LIMITS.writeFileBytes);
    expect((await client.call("write_file", { path: "large", content })).structured.size_bytes).toBe(LIMITS.writeFileBytes);
    const base64 = Buffer.alloc(LIMITS.writeFileBytes, 7).toString("base64");
    expect((await client.call("write_file", { path: "large", content: base64, encoding: "base64" })).isError).toBe(false);
    expect((await client.call("write_file", { path: "large", content: `${content}x` })).error?.code).toBe("too_large");
    const pid = client.pid;
    await expect(client.call("write_file", { path: "x", content: "x".repeat(1.1 * LIMITS.hostMessageBytes) })).rejects.toThrow();
    await eventually(
      async () => isGone(pid),
      (gone) => gone,
      15_000,
    );
    expect(client.stderr()).toContain("the host is gone");
    expect(await ourContainers()).toEqual([]);
  });

  it("takes its container down when a bug of ours is caught by nobody", async () => {
    for (const bug of ["throw new Error('a bug')", "Promise.reject(new Error('a bug'))"]) {
      // Into the running server, by Node's own way to load a module first.
      const code = `process.on('SIGUSR2', () => { ${bug} })`;
      const client = await startClient(undefined, [], { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(code)}` });
      await client.run("1");
      expect(await ourContainers()).toHaveLength(1);
      process.kill(client.pid, "SIGUSR2");
      await eventually(
        async () => isGone(client.pid),
        (gone) => gone,
        15_000,
      );
      expect(await ourContainers()).toEqual([]);
      expect(client.stderr()).toContain("a bug");
      await client.close().catch(() => {});
    }
  });

  it("keeps stdout for JSON-RPC and logs on stderr", async () => {
    const { spawn } = await import("node:child_process");
    const { SERVER } = await import("../helpers/client.ts");
    const server = spawn(process.execPath, [...SERVER, "--log-level", "trace"], { stdio: ["pipe", "pipe", "pipe"] });
    let out = "";
    let err = "";
    server.stdout.on("data", (chunk) => {
      out += chunk;
    });
    server.stderr.on("data", (chunk) => {
      err += chunk;
    });
    const send = (message: object) => server.stdin.write(`${JSON.stringify({ jsonrpc: "2.0", ...message })}\n`);
    const clientInfo = { name: "raw", version: "1" };
    send({ id: 1, method: "initialize", params: { protocolVersion: "2025-06-18", capabilities: {}, clientInfo } });
    send({ method: "notifications/initialized" });
    send({ id: 2, method: "tools/call", params: { name: "execute_code", arguments: { code: "print('hello')" } } });
    await eventually(
      async () => out,
      (text) => text.includes('"id":2'),
      60_000,
    );
    server.stdin.end();
    await once(server, "exit");
    const messages = out
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(messages.every((message) => message.jsonrpc === "2.0")).toBe(true);
    // Between the answers it may say that the list of resources has changed.
    expect(messages.filter((message) => "id" in message).map((message) => message.id)).toEqual([1, 2]);
    expect(messages[0].result.protocolVersion).toBe("2025-06-18");
    expect(err).toContain("sandbox started");
  });
});
