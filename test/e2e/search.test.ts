import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { LIMITS } from "../../src/limits.ts";
import { HOSTS, startClient, type TestClient } from "../helpers/client.ts";
import { guardAgainstLeaks } from "../helpers/containers.ts";

guardAgainstLeaks();

const FLAGS = ["--tools", "core,files"];

let client: TestClient;
beforeAll(async () => {
  client = await startClient(undefined, FLAGS);
});
afterAll(() => client.close());
beforeEach(async () => {
  await python(`
import os, shutil
os.chdir('/home/user')
shutil.rmtree('t', ignore_errors=True)
os.mkdir('t'); os.chdir('t')
def put(name, content='hello\\n'):
    folder = os.path.dirname(name)
    if folder: os.makedirs(folder, exist_ok=True)
    with open(name, 'wb') as file: file.write(content if isinstance(content, bytes) else content.encode())`);
});

async function python(code: string): Promise<string> {
  const { structured } = await client.run(code);
  expect(structured.error).toBeNull();
  return structured.result;
}

const search = async (args: Record<string, unknown>) => {
  const reply = await client.call("search_files", { path: "t", ...args });
  expect(reply.isError, reply.text).toBe(false);
  expect(reply.bytes).toBeLessThan(LIMITS.replyBytes);
  return reply;
};
const refused = async (args: Record<string, unknown>) => {
  const reply = await client.call("search_files", { path: "t", ...args });
  expect(reply.isError).toBe(true);
  return reply.error;
};
const pathsOf = (reply: { structured: { matches: { path: string }[] } }) =>
  reply.structured.matches.map((match) => match.path.replace("/home/user/t/", ""));
const all = { left_out: 0, incomplete: null };

/** The searching processes of the sandbox that are not dead yet. */
const SEARCHING = `
import glob
def searching():
    found = []
    for name in glob.glob('/proc/[0-9]*/cmdline'):
        try: command = open(name, 'rb').read().split(b'\\0')
        except OSError: continue
        if command[0].endswith(b'/rg') or b'kernelbox.search_worker' in command: found.append(int(name.split('/')[2]))
    return found`;

describe("search_files", () => {
  it.each(HOSTS)("finds lines and names, over %s", async (host) => {
    await using other = await startClient(host, FLAGS);
    await other.call("write_file", { path: "src/a.py", content: "import os\n\tprint('hello \\\\')\n" });
    await other.call("write_file", { path: "notes.md", content: "say hello\n" });
    const found = await other.call("search_files", { pattern: "hello" });
    expect(found.structured).toEqual({
      path: "/home/user",
      matches: [
        { path: "/home/user/notes.md", line: 1, text: "say hello", is_cut: false },
        { path: "/home/user/src/a.py", line: 2, text: "\tprint('hello \\\\')", is_cut: false },
      ],
      ...all,
    });
    expect(found.text).toBe(`"/home/user/notes.md":1: say hello\n"/home/user/src/a.py":2: \tprint('hello \\\\')`);
    const named = await other.call("search_files", { glob: "src/*.py" });
    expect(named.structured.matches).toEqual([{ path: "/home/user/src/a.py", line: null, text: null, is_cut: false }]);
    expect(named.text).toBe('"/home/user/src/a.py"');
    expect((await other.call("search_files", { pattern: "hello", glob: "*.md" })).structured.matches).toHaveLength(1);
  });

  it("finds nothing, and says so", async () => {
    await python("put('a.txt')");
    const reply = await search({ pattern: "absent" });
    expect(reply).toMatchObject({ text: "(nothing found)", structured: { matches: [], ...all } });
  });

  it("searches one file, by its path or its uri", async () => {
    await python("put('a.txt', 'one\\nhello\\n'); put('b.txt')");
    expect((await search({ path: "t/a.txt", pattern: "hello" })).structured.matches).toMatchObject([{ line: 2 }]);
    const { sandbox_id } = (await client.run("1")).structured;
    const uri = `kernelbox://sandboxes/${sandbox_id}/files/home/user/t/a.txt`;
    expect((await search({ path: uri, pattern: "hello" })).structured.matches).toMatchObject([{ path: "/home/user/t/a.txt" }]);
  });

  it("hidden, ignored, binary and linked files", async () => {
    await python(`
put('.env'); put('.git/config'); put('.gitignore', '*\\n'); put('plain.txt')
put('binary', bytes(range(256)) + b'hello\\n')
os.symlink('/etc', 'out'); os.symlink('/etc/passwd', 'passwd'); os.symlink('plain.txt', 'link')`);
    expect(pathsOf(await search({ pattern: "hello|root:" }))).toEqual(["plain.txt"]);
    expect(pathsOf(await search({ pattern: "hello", glob: ".git/**" }))).toEqual([".git/config"]);
    expect(pathsOf(await search({ pattern: "hello", path: "t/.git" }))).toEqual([".git/config"]);
    for (const path of ["t/out", "t/passwd", "t/out/ssl", "/etc", "../../etc", "/proc/self"]) {
      expect((await refused({ path, pattern: "root:" }))?.code, path).toMatch(/permission_denied|invalid_argument/);
    }
    expect(pathsOf(await search({ glob: "*" }))).toEqual(["binary", "plain.txt"]);
  });

  it("refuses bad input, with ripgrep's words as data", async () => {
    const unclosed = await refused({ pattern: "(planted" });
    expect(unclosed).toMatchObject({ code: "invalid_argument", details: { ripgrep: expect.stringContaining("unclosed group") } });
    expect(`${unclosed?.message} ${unclosed?.hint}`).not.toContain("planted");
    expect(await refused({ pattern: "x", glob: "[" })).toMatchObject({ code: "invalid_argument" });
    for (const pattern of ["(a)\\1", "(?=a)", "a{1000}{1000}{1000}", "a\nb", "a\0b", "\ud800", "é".repeat(3_000), ""]) {
      expect(await refused({ pattern }), JSON.stringify(pattern.slice(0, 20))).toMatchObject({ code: "invalid_argument" });
    }
    expect(await refused({})).toMatchObject({ code: "invalid_argument", hint: "Give a pattern, a glob, or both." });
    for (const limit of [0, LIMITS.searchMatches.max + 1, 1.5]) {
      expect(await refused({ pattern: "x", limit })).toMatchObject({ code: "invalid_argument" });
    }
    expect(await refused({ pattern: "x", path: "t/missing" })).toMatchObject({ code: "not_found" });
    await python("os.mkfifo('fifo'); put('a.txt')");
    expect(await refused({ pattern: "x", path: "t/fifo" })).toMatchObject({ code: "invalid_argument" });
    expect(await refused({ glob: "*", path: "t/a.txt" })).toMatchObject({ code: "invalid_argument" });
    expect(await refused({ pattern: "x", sandbox_id: "sbx_unknown" })).toMatchObject({ code: "not_found" });
    expect(await refused({ pattern: "x", path: "kernelbox://nonsense" })).toMatchObject({ code: "invalid_argument" });
  });

  it("takes no pattern and no glob for an option", async () => {
    await python("put('a.txt', '--pre=./run\\n'); put('run', '#!/bin/sh\\ntouch /home/user/t/ran\\n'); os.chmod('run', 0o755)");
    expect((await search({ pattern: "--pre=./run" })).structured.matches).toHaveLength(1);
    for (const glob of ["--pre=./run", "--pre=/home/user/t/run", "-uu", "--", "-f/etc/passwd"]) {
      expect(pathsOf(await search({ pattern: ".", glob })), glob).toEqual([]);
      await search({ pattern: glob });
    }
    expect(await python("os.path.exists('ran')")).toBe("False");
  });

  it("shows hostile names and lines harmlessly, a FIFO beside them", async () => {
    await python(
      "os.mkfifo('fifo')\nput('new\\nline'); put('\\u202egnp.exe', 'hello \\u202e\\x1b[31m\\r\\tx\\n'); put(os.fsdecode(b'\\xff'), b'hello \\xe9\\n'); put('-e')",
    );
    const { text, structured } = await search({ pattern: "hello" });
    expect(text.split("\n").sort()).toEqual(
      [
        '"/home/user/t/-e":1: hello',
        '"/home/user/t/new\\nline":1: hello',
        '"/home/user/t/\\u202egnp.exe":1: hello \\u202e\\u001b[31m\\u000d\tx',
        '"/home/user/t/\ufffd":1: hello \ufffd',
      ].sort(),
    );
    expect(structured).toMatchObject({
      matches: expect.arrayContaining([{ path: "/home/user/t/new\nline", line: 1, text: "hello", is_cut: false }]),
    });
  });

  it("is quick and bounded, whatever it searches: lines of 10 MB, patterns made to hang, 20,000 files, more than a reply holds", async () => {
    await python(
      "put('long', 'a' * 10_000_000 + '\\n' + 'a' * 10_000_000)\nfor n in range(20_000): put(f'many/{n % 20}/{n}', '图' * 600 + '\\n')",
    );
    const begun = performance.now();
    for (const pattern of ["(a+)+b", "(a|aa)+!", "(.*)*!"]) expect((await search({ pattern })).structured.matches).toEqual([]);
    const long = await search({ pattern: "a", path: "t/long" });
    expect(long.structured.matches.map((match: { text: string }) => match.text.length)).toEqual([500, 500]);
    expect(long.text).toContain("a…");
    const limited = await search({ glob: "*", path: "t/many" });
    expect(limited.structured).toMatchObject({ incomplete: "limit", left_out: 0 });
    expect(limited.structured.matches).toHaveLength(LIMITS.searchMatches.default);
    expect(limited.text).toContain("There are more: the search stopped at the limit.\nNarrow the search");
    const full = await search({ pattern: "图", limit: LIMITS.searchMatches.max });
    const { matches, left_out, incomplete } = full.structured;
    expect(incomplete).toBe("reply");
    expect(matches.length + left_out).toBe(LIMITS.searchMatches.max);
    expect(full.text).toContain(`${left_out} more were found`);
    expect(performance.now() - begun).toBeLessThan(20_000);
  });

  it("says which part of its work it could not do", async () => {
    await python("put('a.txt'); put('shut/b.txt'); os.chmod('shut', 0)");
    const reply = await search({ pattern: "hello" });
    await python("os.chmod('shut', 0o755)");
    expect(reply.structured).toMatchObject({ incomplete: "unreadable", matches: [{ line: 1 }] });
    expect(reply.text).toContain("Some files or folders could not be read.");
  });

  it("taken back by its caller ends its process, and the sandbox goes on", async () => {
    await python(`${SEARCHING}
import signal, threading
put('big', b'\\n' * 50_000_000)
def stop():
    while True:
        for pid in searching():
            try:
                if any(os.readlink(f'/proc/{pid}/fd/{fd}').endswith('/big') for fd in os.listdir(f'/proc/{pid}/fd')):
                    os.kill(pid, signal.SIGSTOP)
                    put('stopped')
                    return
            except OSError: pass
threading.Thread(target=stop, daemon=True).start()`);
    const abort = new AbortController();
    const given = client.call("search_files", { path: "t", pattern: "absent" }, { signal: abort.signal });
    given.catch(() => {});
    while ((await python("os.path.exists('stopped')")) === "False");
    expect(JSON.parse(await python("searching()"))).toHaveLength(1);
    abort.abort();
    await expect(given).rejects.toThrow();
    while ((await python("searching()")) !== "[]");
    expect(pathsOf(await search({ pattern: "hello" }))).toEqual(["stopped"]);
  });
});
