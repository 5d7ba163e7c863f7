import { mkdtemp, readFile, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { TOOLS } from "../../src/tools/index.ts";
import { HOSTS, type Reply, startClient } from "../helpers/client.ts";
import { guardAgainstLeaks } from "../helpers/containers.ts";

guardAgainstLeaks();

let folder: string;
beforeAll(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), "kernelbox-every-")));
});
afterAll(async () => await rm(folder, { recursive: true }));

/** What earlier calls answered, by the name of the tool. */
type Earlier = Record<string, Reply>;
interface Call {
  tool: string;
  args: (earlier: Earlier) => Record<string, unknown>;
  answers: object;
}

const call = (tool: string, args: Call["args"] | Record<string, unknown>, answers: object): Call => ({
  tool,
  args: typeof args === "function" ? args : () => args,
  answers,
});

/** Each tool once, in an order in which each finds what it needs. */
const CALLS: Call[] = [
  call("execute_code", { code: "x = 1\nx + 1" }, { status: "ok", result: "2" }),
  call("get_execution", ({ execute_code }) => ({ execution_id: execute_code?.structured.execution_id }), { status: "ok", result: "2" }),
  call("cancel_execution", ({ execute_code }) => ({ execution_id: execute_code?.structured.execution_id }), {}),
  call("create_context", { name: "second" }, { name: "second", state: "idle" }),
  call("list_contexts", {}, { next_cursor: null }),
  call("get_context", ({ create_context }) => ({ context_id: create_context?.structured.context_id }), { incarnation: 1 }),
  call("restart_context", ({ create_context }) => ({ context_id: create_context?.structured.context_id }), { incarnation: 2 }),
  call("delete_context", ({ create_context }) => ({ context_id: create_context?.structured.context_id }), { deleted: true }),
  call("write_file", { path: "notes/a.txt", content: "one\ntwo\n" }, { path: "/home/user/notes/a.txt", size_bytes: 8, created: true }),
  call("read_file", { path: "notes/a.txt", offset: 2 }, { content: "two\n", lines: 2 }),
  call(
    "edit_file",
    { path: "notes/a.txt", edits: [{ old_text: "two", new_text: "three" }] },
    { path: "/home/user/notes/a.txt", size_bytes: 10 },
  ),
  call("list_directory", { path: "notes" }, { entries: [{ name: "a.txt" }], next_cursor: null }),
  call("stat_file", { path: "notes/a.txt" }, { type: "file", size_bytes: 10, mime_type: "text/plain" }),
  call("search_files", { pattern: "thr.e" }, { matches: [{ path: "/home/user/notes/a.txt", line: 2 }] }),
  call("make_directory", { path: "more/below" }, { path: "/home/user/more/below", type: "directory" }),
  call("move_file", { source: "notes/a.txt", destination: "more/b.txt" }, { path: "/home/user/more/b.txt", type: "file" }),
  call("upload_file", () => ({ local_path: join(folder, "in.csv"), path: "in.csv" }), { path: "/home/user/in.csv", size_bytes: 8 }),
  call("download_file", () => ({ path: "in.csv", local_path: join(folder, "out.csv"), overwrite: true }), { size_bytes: 8 }),
  call("run_command", { command: "read line; echo $line; sleep 100", background: true }, { status: "running", exit_code: null }),
  call("write_process_input", ({ run_command }) => ({ process_id: run_command?.structured.process_id, data: "hello\n" }), {
    written_bytes: 6,
  }),
  call("get_process", ({ run_command }) => ({ process_id: run_command?.structured.process_id, wait_s: 10, wait_for: { text: "hello" } }), {
    matched: true,
    stdout: "hello\n",
  }),
  call("list_processes", {}, { more: 0, next_cursor: null }),
  call("kill_process", ({ run_command }) => ({ process_id: run_command?.structured.process_id }), { status: "killed" }),
  call("install_packages", { packages: ["numpy"] }, { status: "already_installed", already_installed: [{ name: "numpy" }] }),
  call("remove_file", { path: "more", recursive: true }, { path: "/home/user/more", removed: true }),
];

describe.each(HOSTS)("a host with %s", (host) => {
  it("calls every tool of every profile", async () => {
    await writeFile(join(folder, "in.csv"), "a,b\n1,2\n");
    await using client = await startClient(host, ["--tools", "all", "--allow-dir", folder]);
    const { tools } = await client.client.listTools();
    expect(tools.map((tool: { name: string }) => tool.name)).toEqual(TOOLS.map((tool) => tool.name));
    const earlier: Earlier = {};
    for (const { tool, args, answers } of CALLS) {
      const reply = await client.call(tool, args(earlier));
      expect(reply, tool).toMatchObject({ isError: false, structured: answers });
      expect(reply.text, tool).not.toBe("");
      earlier[tool] = reply;
    }
    expect(Object.keys(earlier).sort()).toEqual(TOOLS.map((tool) => tool.name).sort());
    expect(await readFile(join(folder, "out.csv"), "utf8")).toBe("a,b\n1,2\n");
  });
});
