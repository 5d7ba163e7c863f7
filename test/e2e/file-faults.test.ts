import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { LIMITS } from "../../src/limits.ts";
import { startClient, type TestClient } from "../helpers/client.ts";
import { guardAgainstLeaks } from "../helpers/containers.ts";

guardAgainstLeaks();

let client: TestClient;
let sandboxId: string;
beforeAll(async () => {
  client = await startClient(undefined, ["--tools", "core,files"]);
  sandboxId = (await client.run("import os, socket, threading, time")).structured.sandbox_id;
});
afterAll(async () => await client.close());

const uriOf = (path: string) => `kernelbox://sandboxes/${sandboxId}/files${path}`;
const read = async (path: string, args: Record<string, unknown> = {}) => await client.call("read_file", { path, ...args });
const refused = async (name: string, args: Record<string, unknown>) => {
  const reply = await client.call(name, args);
  expect(reply.isError).toBe(true);
  expect(reply.text).toContain(reply.error?.hint);
  return reply.error;
};
const resourceError = async (uri: string) =>
  await client.readResource(uri).then(
    () => "it was read",
    (error) => error,
  );
/** Code that has to run: whatever it is for is worth nothing without it. */
const ran = async (code: string) => {
  const reply = await client.run(code);
  expect(reply.structured).toMatchObject({ status: "ok" });
  return reply.structured.result;
};

describe("a disk that is full in mid-write", () => {
  const keptBytes = 3_000_000;
  const content = "n".repeat(6_000_000);
  beforeAll(async () => {
    await ran(`open('kept', 'wb').write(b'k' * ${keptBytes}); os.chmod('kept', 0o640)`);
    // Room for half of what comes.
    await ran(
      "filler = open('/home/user/filler', 'wb', buffering=0)\ntry:\n    while True: filler.write(bytes(1 << 20))\nexcept OSError: pass\nfiller.truncate(filler.tell() - (3 << 20)); filler.close()",
    );
  });
  afterAll(async () => void (await client.run("os.remove('/home/user/filler')")));

  it.each([
    ["write_file over a file", { path: "kept", content }],
    ["write_file that appends", { path: "kept", content, append: true }],
    ["write_file of base64", { path: "kept", content, encoding: "base64" }],
    ["write_file of a new file", { path: "new", content }],
    ["write_file of a new file in new folders", { path: "deep/er/new", content }],
  ])("%s: what was there is whole, and nothing is left", async (_, args) => {
    const error = await refused("write_file", args);
    expect(error).toMatchObject({ code: "limit_exceeded", message: "There is no room for it in the sandbox." });
    expect(error?.hint).toContain("Remove files");
    expect(await ran("(open('kept', 'rb').read() == b'k' * 3_000_000, oct(os.stat('kept').st_mode)[-3:])")).toBe("(True, '640')");
    expect(await ran("[name for _, _, names in os.walk('/home/user') for name in names if 'kernelbox-' in name or name == 'new']")).toBe(
      "[]",
    );
  });

  it("what fits is written all the same", async () => {
    expect((await client.call("write_file", { path: "kept", content: "small", append: true })).structured).toMatchObject({
      size_bytes: keptBytes + 5,
      created: false,
    });
  });
});

describe("a file that code changes while it is read", () => {
  /** Runs what `change()` does again and again beside our reads, from a process of its own: the kernel stays free. */
  const changing = async (change: string) => {
    await client.call("write_file", {
      path: "changer.py",
      content: `import os, time\nfrom itertools import count\nopen('begun', 'w').close()\n${change}\n`,
    });
    await ran(
      "import subprocess, sys\nif os.path.exists('begun'): os.remove('begun')\nchanger = subprocess.Popen([sys.executable, 'changer.py'])\nwhile not os.path.exists('begun') and changer.poll() is None: time.sleep(0.05)",
    );
  };
  afterEach(async () => {
    // One that had ended by itself would have changed nothing.
    expect(await ran("running = changer.poll() is None; changer.kill(); changer.wait(); running")).toBe("True");
  });

  it("replaced by another: each reply is of one of them, with its size", async () => {
    const sizes: Record<string, number> = { a: 100_000, b: 150_000, c: 20_000 };
    await ran("open('swapped', 'w').write('a' * 100_000)");
    await changing(
      `for n in count():\n    letter, size = ${JSON.stringify(Object.entries(sizes))}[n % 3]\n    open('.swap', 'w').write(letter * size); os.rename('.swap', 'swapped'); time.sleep(0.005)`,
    );
    let whole = 0;
    for (let n = 0; n < 60; n++) {
      const reply = await read("swapped", { encoding: "base64" });
      if (reply.isError) {
        expect(reply.error).toMatchObject({ code: "busy" });
        continue;
      }
      whole++;
      const content = Buffer.from(reply.structured.content, "base64").toString();
      expect(content === content.charAt(0).repeat(sizes[content.charAt(0)] as number)).toBe(true);
      expect(reply.structured).toMatchObject({ size_bytes: content.length, next_offset_bytes: null });
      const resource = await resourceOrBusy("/home/user/swapped");
      if (resource !== undefined) expect(resource === resource.charAt(0).repeat(sizes[resource.charAt(0)] as number)).toBe(true);
    }
    expect(whole).toBeGreaterThan(0);
  });

  it("emptied and filled again: no reply has less than the size that it tells", async () => {
    await ran("open('refilled', 'w').write('x' * 200_000)");
    await changing(
      "file = open('refilled', 'r+b', buffering=0)\nfor n in count(): file.truncate(0); file.seek(0); file.write(b'x' * 200_000)",
    );
    for (let n = 0; n < 60; n++) {
      const reply = await read("refilled", { encoding: "base64" });
      if (reply.isError) expect(reply.error).toMatchObject({ code: "busy" });
      else expect(Buffer.from(reply.structured.content, "base64")).toHaveLength(reply.structured.size_bytes);
    }
  });

  it("written over without a pause: it is busy, and says when to try again", async () => {
    await ran("open('hot', 'w').write('line of text\\n' * 600_000)\nopen('hot-small', 'w').write('x' * 500_000)");
    await changing(
      "hot, small = (os.open(name, os.O_WRONLY) for name in ('hot', 'hot-small'))\nfor n in count(): os.pwrite(hot, b'L', 0); os.pwrite(small, b'y', n % 500_000)",
    );
    // All of it is read to find its last lines.
    expect(await refused("read_file", { path: "hot", offset: 599_990 })).toMatchObject({
      code: "busy",
      message: "The file was changed while it was read.",
      hint: "Try again when nothing writes to it.",
    });
    const seen = new Set<string>();
    for (let n = 0; n < 200 && seen.size < 2; n++) {
      const reply = await read("hot-small", { encoding: "base64" });
      if (reply.isError) seen.add(`read_file ${reply.error?.code}`);
      if ((await resourceOrBusy("/home/user/hot-small")) === undefined) seen.add("resources/read busy");
    }
    expect([...seen].sort()).toEqual(["read_file busy", "resources/read busy"]);
  });

  it("a log that only grows reads as far as it reached, part by part", async () => {
    await ran("open('log', 'w').close()");
    await changing(
      "log = os.open('log', os.O_WRONLY | os.O_APPEND)\nfor n in count():\n    os.write(log, b'%09d\\n' % n)\n    if n % 50 == 0: time.sleep(0.001)",
    );
    let content = "";
    for (let at = 0, n = 0; n < 60; n++) {
      const reply = await read("log", { offset_bytes: at });
      expect(reply.error).toBeUndefined();
      content += reply.structured.content;
      at = reply.structured.next_offset_bytes ?? content.length;
      const window = await read("log");
      expect(window.error).toBeUndefined();
      if (window.structured.next_offset === null) expect(window.structured.content).toHaveLength(window.structured.size_bytes);
    }
    expect(content.length).toBeGreaterThan(LIMITS.readFileBytes);
    const expected = Array.from({ length: Math.ceil(content.length / 10) }, (_, n) => `${String(n).padStart(9, "0")}\n`).join("");
    expect(content === expected.slice(0, content.length)).toBe(true);
  });

  const resourceOrBusy = async (path: string): Promise<string | undefined> => {
    try {
      return (await client.readResource(uriOf(path))).text as string;
    } catch (error) {
      expect(error).toMatchObject({ data: { code: "busy" } });
      return undefined;
    }
  };
});

describe("a file that is another one at the next call", () => {
  it("is refused or read as what it is now", async () => {
    await ran("open('turn', 'w').write('first ' * 20_000)");
    const first = await read("turn", { offset_bytes: 0 });
    const next = { path: "turn", offset_bytes: first.structured.next_offset_bytes };
    await ran("os.remove('turn')");
    expect(await refused("read_file", next)).toMatchObject({ code: "not_found", hint: expect.stringContaining("list_directory") });
    expect(await resourceError(uriOf("/home/user/turn"))).toMatchObject({ message: expect.stringContaining("not found") });
    await ran("os.mkdir('turn')");
    expect(await refused("read_file", next)).toMatchObject({ code: "invalid_argument", hint: "Use list_directory." });
    await ran("os.rmdir('turn'); open('turn', 'w').write('second')");
    expect(await refused("read_file", next)).toMatchObject({
      code: "invalid_argument",
      message: `offset_bytes ${next.offset_bytes} lies behind the end at 6.`,
    });
    expect((await read("turn")).structured).toMatchObject({ content: "second", size_bytes: 6, lines: 1 });
    expect((await client.readResource(uriOf("/home/user/turn"))).text).toBe("second");
  });

  it("a line behind the end says how many there are", async () => {
    await ran("open('three', 'w').write('1\\n2\\n3'); open('empty', 'w').close()");
    for (const offset of [4, 1_000_000]) {
      expect(await refused("read_file", { path: "three", offset })).toMatchObject({
        code: "invalid_argument",
        message: `The text has 3 lines; offset ${offset} lies behind its end.`,
      });
    }
    expect((await read("three", { offset: 3 })).structured).toMatchObject({ content: "3", lines: 3, next_offset: null });
    expect((await read("empty", { offset: 1 })).structured).toMatchObject({ content: "", lines: 0, next_offset: null });
    expect((await read("empty")).structured).toMatchObject({ content: "", lines: 0 });
    expect((await refused("read_file", { path: "empty", offset: 2 }))?.message).toContain("0 lines");
  });
});

describe("what is no file where one is meant", () => {
  beforeAll(async () => {
    await ran(
      "os.makedirs('odd/folder')\nos.mkfifo('odd/pipe')\ns = socket.socket(socket.AF_UNIX); s.bind('odd/socket')\nopen('odd/file', 'w').write('whole')\nos.symlink('file', 'odd/link')\nos.symlink('/dev/zero', 'odd/device')\nos.symlink('folder', 'odd/way')\nos.symlink('nowhere', 'odd/dangling')\nos.symlink('loop', 'odd/loop')",
    );
  });
  afterAll(async () => {
    expect(await ran("(open('odd/file').read(), ' '.join(sorted(os.listdir('odd'))), os.listdir('odd/folder'))")).toBe(
      "('whole', 'dangling device file folder link loop pipe socket way', [])",
    );
  });

  const SPECIAL = /special file/;
  const LINK = /symbolic link/;
  it.each([
    ["a folder", "odd/folder", "invalid_argument", /directory|folder/, /list_directory/],
    ["a pipe", "odd/pipe", "invalid_argument", SPECIAL, /regular file|list_directory/],
    ["a socket", "odd/socket", "invalid_argument", SPECIAL, /regular file|list_directory/],
    ["a link to a file", "odd/link", "invalid_argument", LINK, /regular file|list_directory/],
    ["a link to a device", "odd/device", "invalid_argument", LINK, /regular file|list_directory/],
    ["a link to nothing", "odd/dangling", "invalid_argument", LINK, /regular file|list_directory/],
    ["a link to itself", "odd/loop", "invalid_argument", LINK, /regular file|list_directory/],
    ["a link on the way", "odd/way/x", "permission_denied", LINK, /real path/],
    ["a file on the way", "odd/file/x", "invalid_argument", /part of the path is a file or a symbolic link/, /list_directory/],
  ])("%s: read_file, resources/read and write_file refuse it", async (_, path, code, words, hint) => {
    for (const args of [{}, { encoding: "base64" }, { offset: 1 }, { offset_bytes: 0 }]) {
      expect(await refused("read_file", { path, ...args })).toMatchObject({
        code,
        message: expect.stringMatching(words),
        hint: expect.stringMatching(hint),
      });
    }
    expect(await resourceError(uriOf(`/home/user/${path}`))).toMatchObject({ data: { code }, message: expect.stringMatching(words) });
    for (const args of [{}, { append: true }, { overwrite: false }]) {
      // Which of the two a link on the way is depends on where the system meets it first.
      const codes = code === "permission_denied" ? /permission_denied|invalid_argument/ : /^invalid_argument$/;
      const error = await refused("write_file", { path, content: "x", ...args });
      expect(error?.code).toMatch(codes);
      if (path.endsWith("/x")) expect(error?.message).toMatch(LINK);
    }
  });

  it("a file, a link or a pipe where a folder is meant", async () => {
    for (const path of ["odd/file", "odd/file/x", "odd/pipe"]) {
      expect(await refused("list_directory", { path })).toMatchObject({ code: "invalid_argument" });
    }
    for (const path of ["odd/way", "odd/way/x"]) {
      const error = await refused("list_directory", { path });
      expect(error?.code).toMatch(/permission_denied|invalid_argument/);
      expect(error?.message).toMatch(LINK);
      expect(error?.hint).toContain("list_directory");
    }
  });
});

describe("bad paths, for each of the three tools", () => {
  it("outside the roots, for list_directory too", async () => {
    for (const path of ["/", "/etc", "/proc/1", "/home", "../..", "/home/user/../../etc", "/mnt/data/..", "/dev"]) {
      expect(await refused("list_directory", { path })).toMatchObject({ code: "permission_denied" });
    }
  });

  it("missing, or no path at all", async () => {
    for (const path of ["none", "none/deeper", "/tmp/none"]) {
      expect(await refused("list_directory", { path })).toMatchObject({ code: "not_found" });
      expect(await refused("read_file", { path })).toMatchObject({ code: "not_found" });
      expect(await refused("read_file", { path, encoding: "base64" })).toMatchObject({ code: "not_found" });
    }
    for (const path of ["a\0b", `${"n".repeat(256)}`, "d/".repeat(LIMITS.pathBytes / 2 + 1)]) {
      for (const [tool, args] of [
        ["read_file", {}],
        ["write_file", { content: "x" }],
        ["list_directory", {}],
      ] as const) {
        expect(await refused(tool, { path, ...args })).toMatchObject({ code: "invalid_argument" });
      }
    }
    for (const tool of ["read_file", "write_file"]) {
      expect(await refused(tool, { path: "", content: "x" })).toMatchObject({ code: "invalid_argument" });
    }
  });

  it("there already, and not to be written over: it stays as it was", async () => {
    await client.call("write_file", { path: "mine", content: "mine" });
    for (const append of [false, true]) {
      expect(await refused("write_file", { path: "mine", content: "theirs", overwrite: false, append })).toMatchObject({
        code: "already_exists",
        hint: expect.stringContaining("overwrite"),
      });
    }
    expect((await read("mine")).structured.content).toBe("mine");
  });

  it("text asked of binary, by lines or by bytes", async () => {
    await ran("open('binary', 'wb').write(b'text\\n' * 100 + bytes([0xff, 0, 0x80]) + b'text')");
    for (const args of [{}, { encoding: "utf-8" }, { offset: 101 }, { offset_bytes: 450 }, { offset_bytes: 502 }]) {
      expect(await refused("read_file", { path: "binary", ...args })).toMatchObject({
        code: "invalid_argument",
        message: "The file is not UTF-8 text.",
        hint: expect.stringContaining("base64"),
      });
    }
    expect((await read("binary", { limit: 100 })).structured.content).toHaveLength(500);
  });

  it("a URI of another sandbox", async () => {
    await using other = await startClient();
    const { structured } = await other.run("open('secret', 'w').write('theirs')");
    const uri = structured.files[0].uri;
    expect((await other.call("read_file", { path: uri })).structured.content).toBe("theirs");
    for (const [tool, args] of [
      ["read_file", { path: uri }],
      ["write_file", { path: uri, content: "x" }],
      ["list_directory", { path: uri.replace(/\/secret$/, "") }],
      ["read_file", { path: "secret", sandbox_id: structured.sandbox_id }],
    ] as const) {
      expect(await refused(tool, args)).toMatchObject({ code: "not_found" });
    }
    expect(await resourceError(uri)).toMatchObject({ message: expect.stringContaining("not found") });
    // A URI names its sandbox itself: two that differ are a mistake, whoever they belong to.
    expect(await refused("read_file", { path: uriOf("/home/user/three"), sandbox_id: structured.sandbox_id })).toMatchObject({
      code: expect.stringMatching(/invalid_argument|not_found/),
    });
    expect((await other.call("read_file", { path: uri })).structured.content).toBe("theirs");
  });

  it("content over the bound of a call, as text, as base64 and appended; at the bound it is written", async () => {
    const bound = LIMITS.writeFileBytes;
    await client.call("write_file", { path: "bound", content: "old" });
    const base64 = (bytes: number) => Buffer.alloc(bytes, 1).toString("base64");
    for (const args of [
      { content: "é".repeat(bound / 2 + 1) },
      { content: base64(bound + 1), encoding: "base64" },
      { content: "x".repeat(bound + 1), append: true },
    ]) {
      expect(await refused("write_file", { path: "bound", ...args })).toMatchObject({
        code: "too_large",
        hint: expect.stringContaining("append"),
      });
    }
    expect((await read("bound")).structured.content).toBe("old");
    const at = await client.call("write_file", { path: "bound", content: base64(bound), encoding: "base64" });
    expect(at.structured).toMatchObject({ size_bytes: bound });
    expect(await ran("os.path.getsize('bound')")).toBe(String(bound));
  });
});
