import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { LIMITS } from "../../src/limits.ts";
import { type Reply, startClient, type TestClient } from "../helpers/client.ts";
import { docker, eventually, guardAgainstLeaks, ourContainerInfos } from "../helpers/containers.ts";

guardAgainstLeaks();

let client: TestClient;
beforeAll(async () => {
  client = await startClient(undefined, ["--tools", "core,processes", "--soft-deadline", "4"]);
});
afterAll(async () => await client.close());

const command = (line: string, args: Record<string, unknown> = {}) => client.call("run_command", { command: line, ...args });
const get = (process_id: string, args: Record<string, unknown> = {}) => client.call("get_process", { process_id, ...args });
const kill = (process_id: string, args: Record<string, unknown> = {}) => client.call("kill_process", { process_id, ...args });
const background = async (line: string, args: Record<string, unknown> = {}): Promise<string> =>
  (await command(line, { background: true, ...args })).structured.process_id;
const alive = async (pids: number[]): Promise<number[]> => {
  const { structured } = await client.call("list_processes", { limit: 1_000 });
  const listed = structured.processes.map(({ pid }: { pid: number }) => pid);
  return pids.filter((pid) => listed.includes(pid));
};
const read = async (process_id: string): Promise<string> => {
  let text = "";
  for (let at = 0; ; ) {
    const { structured } = await get(process_id, { stdout_offset: at });
    text += structured.stdout;
    if (structured.stdout_next_offset === at) return text;
    at = structured.stdout_next_offset;
  }
};

describe("a command", () => {
  it("tells its output, its code, its time and the files that it wrote", async () => {
    const reply = await command("echo out; echo err >&2; echo x > made.txt; exit 3");
    expect(reply.isError).toBe(false);
    expect(reply.structured).toMatchObject({
      status: "exited",
      exit_code: 3,
      signal: null,
      ended_by: null,
      stdout: "out\n",
      stderr: "err\n",
      files: [{ path: "/home/user/made.txt", change: "created", size_bytes: 2 }],
      truncated: [],
      notices: [],
    });
    expect(reply.text).toMatch(/^Exited with code 3 \([\d.]+ ms\): /);
    expect(reply.structured.process_id).toMatch(/^prc_/);
  });

  it("by argv meets no shell", async () => {
    const { structured } = await client.call("run_command", { argv: ["printf", "%s|", "$HOME; echo", "*", "ü"] });
    expect(structured.stdout).toBe("$HOME; echo|*|ü|");
  });

  it("has the folder, the environment and the stdin that it was given", async () => {
    await client.call("write_file", { path: "deep/er/file", content: "x" });
    const { structured } = await command('pwd; echo "$GREETING"; cat; ls', {
      cwd: "deep/er",
      env: { GREETING: "grüß" },
      stdin: "one\ntwo",
    });
    expect(structured.stdout).toBe("/home/user/deep/er\ngrüß\none\ntwofile\n");
    expect((await command("cat; echo done")).structured.stdout).toBe("done\n");
  });

  it("shares its files with code, and nothing else", async () => {
    await client.run("open('from-code', 'w').write('code'); import os; os.environ['LEFT'] = 'x'");
    expect((await command('cat from-code; echo "[$LEFT]"')).structured.stdout).toBe("code[]\n");
  });

  it("that takes longer than a call may goes on, and get_process waits for its end", async () => {
    const { structured, text } = await command("echo begun; sleep 5; echo done");
    expect(structured).toMatchObject({ status: "running", stdout: "begun\n", exit_code: null, stops_at: expect.any(String) });
    expect(text).toContain("get_process");
    const ended = await get(structured.process_id, { wait_s: 20 });
    expect(ended.structured).toMatchObject({ status: "exited", stdout: "begun\ndone\n", exit_code: 0, is_alive: false });
  });

  it("is ended at its timeout with all that it started", async () => {
    const { structured } = await command("sleep 300 & echo $!; sleep 300", { timeout_s: 1 });
    expect(structured).toMatchObject({ status: "timeout", ended_by: "timeout", signal: "TERM" });
    await eventually(
      () => alive([Number(structured.stdout)]),
      (left) => left.length === 0,
      5_000,
    );
  });

  it("ends when its caller leaves, unless it is in the background", async () => {
    const leaving = new AbortController();
    const left = client.call("run_command", { command: "echo $$ > pid; sleep 300" }, { signal: leaving.signal });
    await eventually(
      async () => await client.call("read_file", { path: "pid" }),
      (reply) => !reply.isError,
      10_000,
    );
    leaving.abort();
    await expect(left).rejects.toThrow();
    const pid = Number((await client.call("read_file", { path: "pid" })).structured.content);
    await eventually(
      () => alive([pid]),
      (still) => still.length === 0,
      10_000,
    );
  });

  it("says a megabyte, of which the reply shows the ends and the rest reads by offset and as a resource", async () => {
    const { structured } = await command("seq 200000");
    expect(structured.stdout).toMatch(/^1\n2\n[\s\S]*\[… \d+ bytes left out …\][\s\S]*\n200000\n$/);
    const [cut] = structured.truncated;
    expect(cut).toMatchObject({ field: "stdout", total_bytes: 1_288_895, rest: expect.stringMatching(/^kernelbox:\/\/processes\/prc_/) });
    const whole = Array.from({ length: 200_000 }, (_, n) => `${n + 1}\n`).join("");
    expect((await read(structured.process_id)) === whole).toBe(true);
    const lines = await client.call("read_file", { path: cut.rest, offset: 199_999 });
    expect(lines.structured).toMatchObject({ content: "199999\n200000\n", lines: 200_000 });
  });

  it("may say what is no text, or paint a terminal: the reply is plain, the copy is not", async () => {
    const { structured } = await command("printf '\\033[31mred\\033[0m \\377 ok\\n'");
    expect(structured.stdout).toBe("red � ok\n");
    const copy = await client.call("read_file", { path: `kernelbox://processes/${structured.process_id}/stdout`, encoding: "base64" });
    expect(Buffer.from(copy.structured.content, "base64").toString("latin1")).toBe("\x1b[31mred\x1b[0m \xff ok\n");
  });

  it("does not hold up code or other commands while it floods", async () => {
    const flood = await background("yes");
    const times: number[] = [];
    for (let n = 0; n < 10; n++) {
      const at = performance.now();
      expect((await client.run("1 + 1")).structured.result).toBe("2");
      times.push(performance.now() - at);
    }
    expect(times.sort((a, b) => a - b)[5]).toBeLessThan(2_000);
    expect((await kill(flood)).structured.status).toBe("killed");
  });
});

describe("processes in the background", () => {
  it("twenty servers are waited for by port, listed, and ended", async () => {
    const ids = await Promise.all(
      Array.from({ length: 20 }, (_, n) => background(`exec python -m http.server ${9_000 + n} --bind 127.0.0.1`)),
    );
    for (const [n, id] of ids.entries()) {
      const ready = await get(id, { wait_s: 40, wait_for: { port: 9_000 + n } });
      expect(ready.structured).toMatchObject({ status: "running", matched: true });
    }
    const fetched = await command(
      "for p in $(seq 9000 9019); do python - $p <<'E'\nimport sys, urllib.request\nprint(urllib.request.urlopen(f'http://127.0.0.1:{sys.argv[1]}/').status)\nE\ndone",
      { timeout_s: 100 },
    );
    const { structured } = fetched.structured.status === "running" ? await get(fetched.structured.process_id, { wait_s: 50 }) : fetched;
    expect(structured.stdout).toBe("200\n".repeat(20));
    const listed = (await client.call("list_processes", { limit: 1_000 })).structured.processes;
    for (const id of ids) expect(listed.filter((each: { process_id: string }) => each.process_id === id)).toHaveLength(1);
    expect(listed.filter((each: { is_kernel: boolean }) => each.is_kernel).length).toBeGreaterThan(0);
    const usage = (await get(ids[0] as string)).structured.usage;
    expect(usage).toMatchObject({ processes: 1, memory_bytes: expect.any(Number), cpu_s: expect.any(Number) });
    for (const reply of await Promise.all(ids.map((id) => kill(id))))
      expect(reply.structured).toMatchObject({ status: "killed", is_alive: false });
  });

  it("are waited for by what they say, from an offset on", async () => {
    const id = await background("for i in 1 2 3 4; do echo tick $i; sleep 0.5; done; echo 'ready (at last)' >&2; sleep 100");
    expect((await get(id, { wait_s: 20, wait_for: { text: "^tick 2$" } })).structured).toMatchObject({ matched: true });
    const ready = await get(id, { wait_s: 20, wait_for: { text: "ready \\(.*\\)" }, stdout_offset: 7 });
    expect(ready.structured).toMatchObject({ matched: true, status: "running", stderr: "ready (at last)\n" });
    expect(ready.structured.stdout).toMatch(/^tick 2\n/);
    const late = await get(id, { wait_s: 1, wait_for: { text: "ready" }, stderr_offset: 16 });
    expect(late.structured).toMatchObject({ matched: false, status: "running" });
    await kill(id);
    expect((await get(id, { wait_s: 1, wait_for: { text: "never" } })).structured).toMatchObject({ matched: false, status: "killed" });
  });

  it("survive a restart of the kernel, and end with all that they left behind", async () => {
    const { context_id } = (await client.run("1")).structured;
    const id = await background(
      'python -c "import os, time\nif os.fork() == 0:\n os.setsid()\n if os.fork() == 0:\n  print(os.getpid(), flush=True); time.sleep(300)\n os._exit(0)\nos.wait()"',
    );
    const left = await get(id, { wait_s: 20 });
    expect(left.structured).toMatchObject({ status: "exited", exit_code: 0, is_alive: true });
    const daemon = await get(id, { wait_s: 5, wait_for: { text: "\\d+\\n" } });
    const pid = Number(daemon.structured.stdout);
    await client.call("restart_context", { context_id });
    expect(await alive([pid])).toEqual([pid]);
    expect((await kill(id, { grace_s: 1 })).structured.is_alive).toBe(false);
    expect(await alive([pid])).toEqual([]);
  });

  it("that ignore TERM are killed after the grace", async () => {
    const id = await background("trap '' TERM; echo ready; while :; do sleep 0.2; done");
    await get(id, { wait_s: 10, wait_for: { text: "ready" } });
    const at = performance.now();
    expect((await kill(id, { grace_s: 1 })).structured).toMatchObject({ status: "killed", signal: "KILL", ended_by: "kill_process" });
    expect(performance.now() - at).toBeLessThan(8_000);
  });

  it("that said a hundred megabytes are read back by offset after their end", async () => {
    const id = await background("head -c 100000000 /dev/zero | tr '\\0' 'x'; echo END");
    expect((await get(id, { wait_s: 50 })).structured).toMatchObject({ status: "exited", exit_code: 0 });
    const uri = `kernelbox://processes/${id}/stdout`;
    const end = await get(id, { stdout_offset: 99_999_998 });
    expect(end.structured).toMatchObject({ stdout: "xxEND\n", stdout_next_offset: 100_000_004 });
    const middle = await client.call("read_file", { path: uri, offset_bytes: 50_000_000, limit_bytes: 10 });
    expect(middle.structured).toMatchObject({ content: "x".repeat(10), size_bytes: 100_000_004 });
  });

  it("are told and kept when their sandbox is lost", async () => {
    await using own = await startClient(undefined, ["--tools", "core,processes", "--pool", "0"]);
    const before = (await ourContainerInfos()).map(({ Id }) => Id);
    const { process_id } = (await own.call("run_command", { command: "echo begun; sleep 300", background: true })).structured;
    await own.call("get_process", { process_id, wait_s: 10, wait_for: { text: "begun" } });
    const [mine] = (await ourContainerInfos()).filter(({ Id }) => !before.includes(Id));
    await docker.getContainer(mine?.Id ?? "").kill();
    const lost = await own.call("get_process", { process_id, wait_s: 20 });
    expect(lost.structured).toMatchObject({ status: "killed", ended_by: "sandbox_lost", stdout: "begun\n", is_alive: false });
    // Whoever runs the next one finds no file of theirs, and is told why.
    const next = await own.call("run_command", { command: "ls -A" });
    expect(next.structured.notices).toEqual([expect.stringMatching(/Files and processes from before are lost/)]);
    const told = await own.run("1");
    expect(told.structured.state).toMatchObject({ variables: "lost", reason: "sandbox_lost" });
    expect((await own.call("run_command", { command: "ls -A" })).structured.notices).toEqual([]);
  });
});

describe("a process that is talked to", () => {
  const write = (process_id: string, args: Record<string, unknown>) => client.call("write_process_input", { process_id, ...args });

  it("answers what it is given, and ends with its stdin", async () => {
    const id = await background('while read -r line; do echo "got $line"; done; echo over');
    await write(id, { data: "one\n" });
    expect((await get(id, { wait_s: 5, wait_for: { text: "got one" } })).structured.matched).toBe(true);
    expect((await write(id, { data: "two\n", close: true })).structured).toMatchObject({ written_bytes: 4 });
    expect((await get(id, { wait_s: 5 })).structured).toMatchObject({ status: "exited", stdout: "got one\ngot two\nover\n" });
    expect((await write(id, { data: "three\n" })).error).toMatchObject({
      code: "invalid_argument",
      message: expect.stringContaining("ended"),
    });
  });

  it("in a terminal is driven by keys, and sees its size", async () => {
    const id = await background("python -q", { pty: { rows: 24, columns: 80 }, env: { PYTHON_BASIC_REPL: "1" } });
    await get(id, { wait_s: 10, wait_for: { text: ">>> " } });
    await write(id, { data: "import os; os.get_terminal_size()\n" });
    await get(id, { wait_s: 10, wait_for: { text: "columns=80, lines=24" } });
    await write(id, { resize: { rows: 50, columns: 132 }, data: "os.get_terminal_size()\n" });
    expect((await get(id, { wait_s: 10, wait_for: { text: "columns=132, lines=50" } })).structured.matched).toBe(true);
    await write(id, { data: "import time; time.sleep(300)\n" });
    await new Promise((resolve) => setTimeout(resolve, 500));
    await write(id, { data: "\u0003" });
    expect((await get(id, { wait_s: 10, wait_for: { text: "KeyboardInterrupt" } })).structured.matched).toBe(true);
    await write(id, { data: "exit(7)\n" });
    expect((await get(id, { wait_s: 10 })).structured).toMatchObject({ status: "exited", exit_code: 7 });
  });
});

describe("limits of a command", () => {
  it("memory: it is told what happened, and the sandbox goes on", async () => {
    await using small = await startClient(undefined, ["--memory", "512", "--workspace", "64", "--pool", "0"]);
    await small.run("kept = 1");
    const { structured, text } = await small.call("run_command", {
      command: "python -c 'x = [b\"x\" * (1 << 20) for _ in range(2000)]; print(sum(map(len, x)))'",
    });
    expect(structured).toMatchObject({ status: "killed", signal: "KILL", ended_by: "out_of_memory" });
    expect(text).toContain("memory");
    expect((await small.run("kept")).structured.result).toBe("1");
  });

  it("processes: a bomb of forks meets the bound, others go on meanwhile, and it can be ended", async () => {
    await using own = await startClient(undefined, ["--pids", "128", "--pool", "0"]);
    await own.run("kept = 1");
    const { process_id } = (await own.call("run_command", { command: "bomb() { bomb | bomb & }; bomb; sleep 300", background: true }))
      .structured;
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    const times: number[] = [];
    for (let n = 0; n < 5; n++) {
      const at = performance.now();
      expect((await own.run("kept")).structured.result).toBe("1");
      times.push(performance.now() - at);
    }
    process.stdout.write(`beside a bomb of forks an execution takes ${times.map(Math.round).sort((a, b) => a - b)[2]} ms\n`);
    expect((await own.call("kill_process", { process_id, signal: "KILL" })).structured).toMatchObject({
      status: "killed",
      is_alive: false,
    });
    const refused = await own.call("run_command", { command: "for i in $(seq 300); do sleep 20 & done; wait", timeout_s: 3 });
    expect(refused.structured.stderr).toContain("fork");
    const full = await own.call("run_command", { command: "(for i in $(seq 300); do sleep 2 & done; wait) || exit 5; exit 6" });
    expect(full.structured).toMatchObject({ status: "exited", ended_by: "limit_exceeded" });
  });

  it("room and open files: the command says so itself, and room is told", async () => {
    const full = await command("head -c 1G /dev/zero > fill; code=$?; ls -s fill >&2; exit $code");
    expect(full.structured).toMatchObject({ exit_code: 1, ended_by: "limit_exceeded" });
    await command("rm fill");
    const files = await command("python -c 'fs = [open(\"/dev/null\") for _ in range(100000)]'");
    expect(files.structured.stderr).toContain("Too many open files");
  });

  it("so many run, and one more is refused", async () => {
    await using own = await startClient(undefined, ["--pool", "0"]);
    const { sandbox_id } = (await own.call("run_command", { command: "true" })).structured;
    for (let n = 0; n < LIMITS.processesPerSandbox; n++)
      expect((await own.call("run_command", { command: "sleep 300", background: true, sandbox_id })).isError).toBe(false);
    expect((await own.call("run_command", { command: "true" })).error).toMatchObject({
      code: "limit_exceeded",
      hint: expect.stringContaining("kill_process"),
    });
  });
});

describe("bad input", () => {
  it.each<[string, Record<string, unknown>, string, RegExp, RegExp]>([
    ["a program that does not exist", { argv: ["no-such-program"] }, "not_found", /no program "?no-such-program/, /command -v/],
    ["both", { argv: ["ls"], command: "ls" }, "invalid_argument", /Both/, /command.*argv/],
    ["neither", {}, "invalid_argument", /nothing to run/, /command.*argv/],
    ["no words", { argv: [] }, "invalid_argument", /nothing to run/, /./],
    ["blanks", { command: "  \n" }, "invalid_argument", /nothing to run/, /./],
    ["a NUL", { command: "echo \0" }, "invalid_argument", /NUL/, /file/],
    ["a cwd that is a file", { command: "ls", cwd: "a-file" }, "invalid_argument", /cwd/, /home/],
    ["a cwd that is not there", { command: "ls", cwd: "nowhere" }, "not_found", /folder/, /make_directory/],
    ["a cwd outside", { command: "ls", cwd: "/etc" }, "permission_denied", /outside/, /home/],
    ["a folder as a program", { argv: ["/home"] }, "permission_denied", /may not be run/, /chmod/],
    ["no time", { command: "ls", timeout_s: 0 }, "invalid_argument", /timeout_s/, /./],
    ["too much time", { command: "ls", timeout_s: 3_601 }, "invalid_argument", /timeout_s/, /./],
    ["an odd name in env", { command: "ls", env: { "a b": "c" } }, "invalid_argument", /env/, /./],
    ["a terminal without rows", { command: "ls", pty: { rows: 0, columns: 80 } }, "invalid_argument", /pty/, /./],
    ["too long a line", { command: `: ${"x".repeat(LIMITS.commandBytes)}` }, "too_large", /bytes/, /write_file/],
    ["too much for stdin", { command: "cat", stdin: "x".repeat(LIMITS.commandStdinBytes + 1) }, "too_large", /stdin/, /write_file/],
    ["another's sandbox", { command: "ls", sandbox_id: "sbx_x" }, "not_found", /./, /./],
    ["an argument that is none", { comand: "ls" }, "invalid_argument", /comand/, /command/],
  ])("%s", async (_, args, code, message, hint) => {
    await client.call("write_file", { path: "a-file", content: "" });
    const { error } = await client.call("run_command", args);
    expect(error).toMatchObject({ code, message: expect.stringMatching(message), hint: expect.stringMatching(hint) });
  });

  const refused = async (reply: Promise<Reply>) => (await reply).error;
  it("about processes", async () => {
    const id = await background("sleep 300");
    expect(await refused(get("prc_none"))).toMatchObject({ code: "not_found", hint: expect.stringContaining("list_processes") });
    expect(await refused(get(id, { wait_s: LIMITS.waitSeconds + 1 }))).toMatchObject({ code: "invalid_argument" });
    expect(await refused(get(id, { sandbox_id: "sbx_x" }))).toMatchObject({
      code: "invalid_argument",
      hint: expect.stringContaining("sandbox_id"),
    });
    expect(await refused(get(id, { wait_for: { port: 0 } }))).toMatchObject({ code: "invalid_argument" });
    expect(await refused(get(id, { wait_for: { text: "(" } }))).toMatchObject({
      code: "invalid_argument",
      hint: expect.stringContaining("RE2"),
    });
    expect(await refused(get(id, { wait_for: { text: "(a)\\1" } }))).toMatchObject({ code: "invalid_argument" });
    expect(await refused(kill(id, { signal: "NONE" }))).toMatchObject({
      code: "invalid_argument",
      message: expect.stringContaining("signal"),
    });
    expect(await refused(client.call("write_process_input", { process_id: id, resize: { rows: 2, columns: 2 } }))).toMatchObject({
      code: "invalid_argument",
      message: expect.stringContaining("pty"),
    });
    await kill(id);
    expect((await kill(id)).structured.status).toBe("killed");
    expect(await refused(client.call("list_processes", { cursor: "x" }))).toMatchObject({ code: "invalid_argument" });
  });

  it("a pattern that would backtrack for ever costs no time", async () => {
    const { process_id } = (await command("head -c 50000 /dev/zero | tr '\\0' a; sleep 300", { background: true })).structured;
    await get(process_id, { wait_s: 10, wait_for: { text: "aaa" } });
    const at = performance.now();
    expect((await get(process_id, { wait_s: 1, wait_for: { text: "(a+)+$b" } })).structured.matched).toBe(false);
    expect(performance.now() - at).toBeLessThan(5_000);
    await kill(process_id);
  });
});
