import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { LIMITS } from "../../src/limits.ts";
import { HOSTS, startClient, type TestClient } from "../helpers/client.ts";
import { guardAgainstLeaks } from "../helpers/containers.ts";

guardAgainstLeaks();

let client: TestClient;
beforeAll(async () => {
  client = await startClient();
  await client.run("kept = 'still here'");
});
afterAll(async () => {
  // Nothing that was refused has cost anything.
  const reply = await client.run("kept");
  await client.close();
  expect(reply.structured).toMatchObject({ result: "'still here'", state: { variables: "kept", incarnation: 1 } });
});

const refused = async (name: string, args: Record<string, unknown>) => {
  const reply = await client.call(name, args);
  expect(reply.isError).toBe(true);
  expect(reply.text).toContain(reply.error?.message);
  expect(reply.text).toContain(reply.error?.hint);
  return reply.error;
};

describe("bad input gets a code, a message and the next step", () => {
  it.each(HOSTS)("an unknown tool, over %s", async (host) => {
    await using other = await startClient(host);
    const reply = await other.call("executecode", { code: "1" });
    expect(reply).toMatchObject({ isError: true, error: { code: "invalid_argument", message: "There is no tool executecode." } });
    expect(reply.text).toMatch(/Did you mean execute_code\? Tools: execute_code, get_execution, cancel_execution.*list_directory/);
  });

  it.each(HOSTS)("an unknown argument, with the nearest known name, over %s", async (host) => {
    await using other = await startClient(host);
    const reply = await other.call("execute_code", { code: "1", timeout: 5 });
    expect(reply).toMatchObject({ isError: true, error: { code: "invalid_argument" } });
    expect(reply.error?.hint).toContain("timeout_s");
  });

  it("missing and malformed arguments", async () => {
    expect(await refused("execute_code", {})).toMatchObject({ code: "invalid_argument", message: expect.stringContaining("code") });
    for (const timeout_s of [0, -1, LIMITS.timeoutSeconds.max + 1, "soon"]) {
      expect((await refused("execute_code", { code: "1", timeout_s }))?.message).toContain("timeout_s");
    }
    expect((await refused("execute_code", { code: "1", language: "cobol" }))?.message).toContain("python");
    expect(await refused("cancel_execution", {})).toMatchObject({ code: "invalid_argument" });
    expect(await refused("execute_code", { code: "1", env: { "a b": "c" } })).toMatchObject({ code: "invalid_argument" });
    expect(await refused("write_file", { path: "x", content: "1", mode: "999" })).toMatchObject({ code: "invalid_argument" });
    expect(await refused("write_file", { path: "x", content: "not base64!", encoding: "base64" })).toMatchObject({
      code: "invalid_argument",
    });
    expect(await refused("list_directory", { cursor: "%%%" })).toMatchObject({ code: "invalid_argument" });
    expect(await refused("list_contexts", { cursor: "ctx_gone" })).toMatchObject({ code: "invalid_argument" });
  });

  it("unknown and malformed handles, all alike", async () => {
    for (const context_id of ["ctx_AAAAAAAAAAAAAAAAAAAAAA", "nonsense", "../../etc"]) {
      expect(await refused("execute_code", { code: "1", context_id })).toMatchObject({ code: "not_found" });
      expect(await refused("get_context", { context_id })).toMatchObject({
        code: "not_found",
        hint: expect.stringContaining("list_contexts"),
      });
    }
    expect(await refused("cancel_execution", { execution_id: "exe_unknown" })).toMatchObject({ code: "not_found" });
    expect(await refused("read_file", { path: "x", sandbox_id: "sbx_unknown" })).toMatchObject({ code: "not_found" });
    expect(await refused("read_file", { path: "kernelbox://executions/exe_unknown/stdout" })).toMatchObject({ code: "not_found" });
    expect(await refused("read_file", { path: "kernelbox://nonsense" })).toMatchObject({ code: "not_found" });
    await expect(client.readResource("kernelbox://executions/exe_unknown")).rejects.toThrow();
  });

  it("code over the size bound; code at the bound runs", async () => {
    const at = `#${"x".repeat(LIMITS.codeBytes - 3)}\n1`;
    expect((await client.run(at)).structured.result).toBe("1");
    expect(await refused("execute_code", { code: `${at}23` })).toMatchObject({
      code: "too_large",
      hint: expect.stringContaining("write_file"),
    });
  });

  it("an environment over its bounds", async () => {
    const env = Object.fromEntries(Array.from({ length: LIMITS.envVariables + 1 }, (_, n) => [`V${n}`, "1"]));
    expect(await refused("execute_code", { code: "1", env })).toMatchObject({ code: "invalid_argument" });
    expect(await refused("execute_code", { code: "1", env: { V: "x".repeat(LIMITS.envBytes) } })).toMatchObject({
      code: "invalid_argument",
    });
  });

  it("paths outside the roots, however they are written", async () => {
    for (const path of [
      "/etc/passwd",
      "../../etc/passwd",
      "/home/user/../../etc/passwd",
      "/proc/1/environ",
      "/",
      "/home",
      "/home/user2/x",
      "/mnt/data/../x",
    ]) {
      expect(await refused("read_file", { path })).toMatchObject({ code: "permission_denied" });
      expect(await refused("write_file", { path, content: "x" })).toMatchObject({ code: "permission_denied" });
    }
    expect(await refused("read_file", { path: "a\0b" })).toMatchObject({ code: "invalid_argument" });
    expect(await refused("read_file", { path: "é".repeat(LIMITS.pathBytes / 2 + 1) })).toMatchObject({ code: "invalid_argument" });
    expect(await refused("read_file", { path: `${"n".repeat(300)}.txt` })).toMatchObject({ code: "invalid_argument" });
  });

  it("a URI where a path is asked for: that of a file is the file, any other is refused, and no folder is made of it", async () => {
    const { structured } = await client.run("open('by uri.txt', 'w').write('one')");
    const [{ uri }] = structured.files;
    expect((await client.call("write_file", { path: uri, content: "two" })).structured).toMatchObject({
      path: "/home/user/by uri.txt",
      created: false,
    });
    expect((await client.call("read_file", { path: "by uri.txt" })).structured.content).toBe("two");
    const folder = `kernelbox://sandboxes/${structured.sandbox_id}/files/home/user`;
    expect((await client.call("list_directory", { path: folder })).structured).toMatchObject({
      path: "/home/user",
      entries: expect.arrayContaining([expect.objectContaining({ name: "by uri.txt" })]),
    });
    for (const path of [`kernelbox://executions/${structured.execution_id}/stdout`, "kernelbox://nonsense"]) {
      expect(await refused("write_file", { path, content: "x" })).toMatchObject({ code: "invalid_argument" });
      expect(await refused("list_directory", { path })).toMatchObject({ code: "invalid_argument" });
      expect(await refused("create_context", { cwd: path })).toMatchObject({ code: "invalid_argument" });
    }
    expect(await refused("write_file", { path: uri.replace(structured.sandbox_id, "sbx_unknown"), content: "x" })).toMatchObject({
      code: "not_found",
    });
    expect((await client.run("import os\n[name for name in os.listdir('.') if 'kernelbox' in name]")).structured.result).toBe("[]");
  });

  it("links that lead out", async () => {
    await client.run(
      "import os\nos.symlink('/etc', 'out')\nos.symlink('/etc/passwd', 'passwd')\nos.makedirs('real', exist_ok=True)\nos.symlink('real', 'inside')",
    );
    for (const path of ["out/passwd", "passwd", "inside/x"]) {
      expect(["permission_denied", "invalid_argument"]).toContain((await refused("read_file", { path }))?.code);
      expect(["permission_denied", "invalid_argument"]).toContain((await refused("write_file", { path, content: "x" }))?.code);
    }
    expect(await refused("list_directory", { path: "out" })).toMatchObject({
      code: expect.stringMatching(/permission_denied|invalid_argument/),
    });
  });

  it("folders and special files where a file is meant, and the other way round", async () => {
    await client.run(
      "import os, socket\nos.makedirs('folder', exist_ok=True)\nos.mkfifo('fifo')\nopen('plain', 'w').close()\ns = socket.socket(socket.AF_UNIX)\ns.bind('sock')",
    );
    for (const path of ["folder", "fifo", "sock"]) {
      expect(await refused("read_file", { path })).toMatchObject({ code: "invalid_argument" });
      expect(await refused("write_file", { path, content: "x" })).toMatchObject({ code: "invalid_argument" });
    }
    expect((await refused("read_file", { path: "folder" }))?.hint).toContain("list_directory");
    expect(await refused("list_directory", { path: "plain" })).toMatchObject({ code: "invalid_argument" });
    expect(await refused("write_file", { path: "plain/below", content: "x" })).toMatchObject({ code: "invalid_argument" });
    expect(await refused("read_file", { path: "missing" })).toMatchObject({ code: "not_found" });
    expect(await refused("write_file", { path: "no/parent", content: "x", create_parents: false })).toMatchObject({ code: "not_found" });
    expect(await refused("write_file", { path: "plain", content: "x", overwrite: false })).toMatchObject({ code: "already_exists" });
  });

  it("binary read as text", async () => {
    await client.run("open('binary', 'wb').write(bytes(range(256)))");
    expect(await refused("read_file", { path: "binary" })).toMatchObject({
      code: "invalid_argument",
      hint: expect.stringContaining("base64"),
    });
    const read = await client.call("read_file", { path: "binary", encoding: "base64" });
    expect([...Buffer.from(read.structured.content, "base64")]).toEqual(Array.from({ length: 256 }, (_, n) => n));
  });

  it("parts that begin within a character, or have room for less than one, go on to the end", async () => {
    await client.call("write_file", { path: "wide", content: "a图b" });
    const parts: string[] = [];
    for (let at: number | null = 0; at !== null && parts.length < 9; ) {
      const { structured } = await client.call("read_file", { path: "wide", offset_bytes: at, limit_bytes: 1 });
      parts.push(structured.content);
      at = structured.next_offset_bytes;
    }
    expect(parts).toEqual(["a", "图", "b"]);
    const within = (await client.call("read_file", { path: "wide", offset_bytes: 2 })).structured;
    expect(within).toMatchObject({ content: "b", offset_bytes: 4, next_offset_bytes: null });
    expect(await refused("read_file", { path: "wide", offset: 2 })).toMatchObject({
      code: "invalid_argument",
      message: "The text has 1 line; offset 2 lies behind its end.",
    });
  });

  it("a file whose time no calendar has", async () => {
    await client.run(
      "import os\nos.makedirs('odd', exist_ok=True)\nfor name, at in (('future', 10**13), ('past', -10**13)):\n    open(f'odd/{name}', 'w').write('x')\n    os.utime(f'odd/{name}', (at, at))",
    );
    const { entries } = (await client.call("list_directory", { path: "odd" })).structured;
    expect(entries.map((entry: { modified_at: string }) => entry.modified_at)).toEqual([
      "9999-12-31T23:59:59.999Z",
      "0001-01-01T00:00:00.000Z",
    ]);
    expect((await client.call("read_file", { path: "odd/future" })).structured.modified_at).toBe("9999-12-31T23:59:59.999Z");
    const { resources } = await client.client.listResources();
    expect(resources.map((resource: { name: string }) => resource.name)).toContain("future");
    await client.run("import shutil\nshutil.rmtree('odd')");
  });

  it("content over the bound of one call, and a full disk: nothing is half written", async () => {
    expect(await refused("write_file", { path: "large", content: "x".repeat(LIMITS.writeFileBytes + 1) })).toMatchObject({
      code: "too_large",
    });
    await client.run(
      "import os\nf = open('filler', 'wb')\ntry:\n    while True: f.write(b'x' * 1048576)\nexcept OSError: pass\ntry: f.close()\nexcept OSError: pass\nos.truncate('filler', os.path.getsize('filler') - 1024 * 1024)",
    );
    expect(await refused("write_file", { path: "too-much", content: "y".repeat(4 * 1024 * 1024) })).toMatchObject({
      code: "limit_exceeded",
    });
    const listed = await client.run(
      "import os\nos.remove('filler')\nsorted(name for name in os.listdir('.') if name.startswith(('.kernelbox', 'too-much')))",
    );
    expect(listed.structured.result).toBe("[]");
  });

  it("a context in a language, a folder or a number that cannot be", async () => {
    expect(await refused("create_context", { cwd: "/etc" })).toMatchObject({ code: "permission_denied" });
    await client.run("open('a-file', 'w').close()");
    expect(await refused("create_context", { cwd: "a-file" })).toMatchObject({ code: "invalid_argument" });
    const { structured } = await client.call("create_context", { cwd: "made/for/it" });
    expect((await client.run("import os\nos.getcwd()", { context_id: structured.context_id })).structured.result).toBe(
      "'/home/user/made/for/it'",
    );
    await client.call("delete_context", { context_id: structured.context_id });
  });

  it("a kernel that dies at its start: its last words are told as data, and the context can be restarted", async () => {
    const { context_id } = (await client.call("create_context")).structured;
    const site = "/home/user/.local/lib/python3.13/site-packages";
    await client.call("write_file", {
      path: `${site}/broken.pth`,
      content: "import os, sys; sys.stderr.write('planted last words'); sys.stderr.flush(); os._exit(9)\n",
    });
    const error = await refused("restart_context", { context_id });
    expect(error).toMatchObject({
      code: "kernel_died",
      details: { last_words: expect.stringContaining("planted last words"), exit_code: 9 },
    });
    expect(error?.message).not.toContain("planted");
    expect(error?.hint).toContain(".local");
    const run = await client.run("1", { context_id });
    expect(run.structured).toMatchObject({ status: "died", error: { name: "KernelStartError" } });
    await client.call("write_file", { path: `${site}/broken.pth`, content: "\n" });
    expect((await client.run("1 + 1", { context_id })).structured).toMatchObject({ status: "ok", result: "2" });
    await client.call("delete_context", { context_id });
  });
});
