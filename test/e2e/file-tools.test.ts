import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startClient, type TestClient } from "../helpers/client.ts";
import { guardAgainstLeaks } from "../helpers/containers.ts";

guardAgainstLeaks();

let client: TestClient;
beforeAll(async () => {
  client = await startClient(undefined, ["--tools", "core,files"]);
});
afterAll(async () => await client.close());

const write = async (path: string, content: string) => await client.call("write_file", { path, content });
const read = async (path: string) => (await client.call("read_file", { path })).structured.content;
const names = async (path: string) =>
  (await client.call("list_directory", { path, depth: 5 })).structured.entries.map((entry: { path: string }) =>
    entry.path.slice("/home/user/".length),
  );

describe("edit_file", () => {
  it("changes what it is told to and shows it, with mode, line ends and the rest as they were", async () => {
    await client.run(
      "import os\nopen('run.sh', 'w', newline='').write('#!/bin/sh\\r\\necho one\\r\\necho two')\nos.chmod('run.sh', 0o755)",
    );
    const reply = await client.call("edit_file", {
      path: "run.sh",
      edits: [
        { old_text: "one", new_text: "1" },
        { old_text: "echo", new_text: "printf", replace_all: true },
      ],
    });
    expect(reply.structured).toMatchObject({ path: "/home/user/run.sh", size_bytes: 31 });
    expect(reply.structured.diff).toContain("-echo one");
    expect(reply.structured.diff).toContain("+printf 1");
    expect(reply.text).toContain(reply.structured.diff);
    const after = await client.run("oct(os.stat('run.sh').st_mode)[-3:], open('run.sh', newline='').read()");
    expect(after.structured.result).toBe("('755', '#!/bin/sh\\r\\nprintf 1\\r\\nprintf two')");
  });

  it("makes all edits or none, and with dry_run none", async () => {
    await write("a.txt", "one\ntwo\ntwo\n");
    const edits = [
      { old_text: "one", new_text: "1" },
      { old_text: "two", new_text: "2" },
    ];
    const refused = await client.call("edit_file", { path: "a.txt", edits });
    expect(refused.error).toMatchObject({
      code: "invalid_argument",
      message: "Edit 2 of 2 is not clear: its old_text is there 2 times, at lines 2, 3.",
    });
    expect(refused.error?.hint).toContain("replace_all");
    const dry = await client.call("edit_file", { path: "a.txt", edits: edits.slice(0, 1), dry_run: true });
    expect(dry.structured).toMatchObject({ size_bytes: 10, diff: expect.stringContaining("+1") });
    expect(await read("a.txt")).toBe("one\ntwo\ntwo\n");
  });

  it("loses nothing of what somebody else writes meanwhile", async () => {
    await write("shared.txt", "mine: 0\ntheirs: 0\n");
    const theirs = client.run(
      "import os, time\nend = time.time() + 3\nn = 0\nwhile time.time() < end:\n    n += 1\n    text = open('shared.txt').read().split('\\n')\n    text[1] = f'theirs: {n}'\n    open('.new', 'w').write('\\n'.join(text)); os.rename('.new', 'shared.txt'); time.sleep(0.2)\nn",
    );
    let mine = 0;
    for (let n = 0; n < 40; n++) {
      const reply = await client.call("edit_file", {
        path: "shared.txt",
        edits: [{ old_text: `mine: ${mine}`, new_text: `mine: ${mine + 1}` }],
      });
      // Code that reads and writes without looking may lose our change; we never lose its.
      if (reply.isError) mine = Number(/mine: (\d+)/.exec(await read("shared.txt"))?.[1]);
      else mine++;
    }
    const last = (await theirs).structured.result;
    expect(await read("shared.txt")).toContain(`theirs: ${last}`);
  });

  it.each([
    ["a folder", "/home/user", "invalid_argument", /folder/],
    ["what is not there", "none.txt", "not_found", /no file or folder/],
    ["bytes that are no text", "binary", "invalid_argument", /not UTF-8/],
    ["a file that is too large", "huge", "too_large", /at most/],
    ["a pipe", "pipe", "invalid_argument", /special file/],
    ["what lies outside", "/etc/passwd", "permission_denied", /outside/],
  ])("refuses %s", async (_, path, code, words) => {
    await client.run(
      "import os\nopen('binary', 'wb').write(b'a\\xff')\nopen('huge', 'wb').truncate(100 << 20)\nif not os.path.exists('pipe'): os.mkfifo('pipe')",
    );
    const reply = await client.call("edit_file", { path, edits: [{ old_text: "a", new_text: "b" }] });
    expect(reply.error).toMatchObject({ code, message: expect.stringMatching(words) });
  });

  it("shows a long difference in part, and what cannot be seen as what it is", async () => {
    await write("huge.txt", "line\n".repeat(50_000));
    const huge = await client.call("edit_file", { path: "huge.txt", edits: [{ old_text: "line", new_text: "row", replace_all: true }] });
    expect(huge.structured).toMatchObject({ size_bytes: 200_000, diff: null });
    await write("long.txt", "line\n".repeat(2_000));
    const long = await client.call("edit_file", {
      path: "long.txt",
      edits: [{ old_text: "line", new_text: "row \u202e", replace_all: true }],
    });
    expect(long.isError).toBe(false);
    expect(long.bytes).toBeLessThan(100_000);
    expect(long.text).toContain("row \\u202e");
    expect(long.text).not.toMatch(/\u202e/);
    expect(long.text).toMatch(/\d+ more lines of the difference/);
  });
});

describe("stat_file", () => {
  it("tells what stands there, with the type that its content has", async () => {
    await write("notes.md", "# Notes\n");
    await client.run(
      "import os\nos.symlink('/etc/passwd', 'link')\nopen('plot.dat', 'wb').write(bytes.fromhex('89504e470d0a1a0a0000000d49484452'))",
    );
    expect((await client.call("stat_file", { path: "notes.md" })).structured).toMatchObject({
      name: "notes.md",
      path: "/home/user/notes.md",
      type: "file",
      size_bytes: 8,
      mode: "644",
      owner: "user",
      group: "user",
      mime_type: "text/markdown",
      file_id: expect.stringMatching(/^file_/),
      modified_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
    });
    expect((await client.call("stat_file", { path: "plot.dat" })).structured.mime_type).toBe("image/png");
    expect((await client.call("stat_file", { path: "." })).structured).toMatchObject({ type: "directory", mime_type: null });
    const link = await client.call("stat_file", { path: "link" });
    expect(link.structured ?? link.error).toMatchObject({ type: "symlink" });
    expect((await client.call("stat_file", { path: "link/x" })).error?.code).toMatch(/permission_denied|invalid_argument/);
    expect((await client.call("stat_file", { path: "none" })).error?.code).toBe("not_found");
  });
});

describe("folders, moves and removals", () => {
  it("do what their names say, and the same twice where that is meant", async () => {
    for (let time = 0; time < 2; time++) {
      const made = await client.call("make_directory", { path: "d/deep", mode: "0700" });
      expect(made.structured).toMatchObject({ path: "/home/user/d/deep", type: "directory", mode: "700" });
    }
    await write("d/a.txt", "a");
    expect((await client.call("move_file", { source: "d/a.txt", destination: "d/deep/b.txt" })).structured).toMatchObject({
      path: "/home/user/d/deep/b.txt",
    });
    expect((await client.call("move_file", { source: "d/a.txt", destination: "d/deep/b.txt" })).error?.code).toBe("not_found");
    expect((await client.call("move_file", { source: "d/a.txt", destination: "d/deep/b.txt", missing_ok: true })).isError).toBe(false);
    expect((await client.call("move_file", { source: "d/deep", destination: "/tmp/copy", copy: true })).structured.type).toBe("directory");
    expect(await read("/tmp/copy/b.txt")).toBe("a");
    expect((await client.call("move_file", { source: "/tmp/copy", destination: "back" })).isError).toBe(false);
    expect(await names("d")).toEqual(["d/deep", "d/deep/b.txt"]);
    expect(await names("back")).toEqual(["back/b.txt"]);
    await write("c.txt", "c");
    const onto = { source: "c.txt", destination: "back/b.txt" };
    expect((await client.call("move_file", onto)).error).toMatchObject({
      code: "already_exists",
      hint: expect.stringContaining("overwrite"),
    });
    expect((await client.call("move_file", { ...onto, overwrite: true })).structured.size_bytes).toBe(1);
    expect(await read("back/b.txt")).toBe("c");
    const full = await client.call("remove_file", { path: "back" });
    expect(full.error).toMatchObject({
      code: "invalid_argument",
      message: "The folder is not empty.",
      hint: expect.stringContaining("recursive"),
    });
    expect((await client.call("remove_file", { path: "back", recursive: true })).structured).toEqual({
      path: "/home/user/back",
      removed: true,
    });
    expect((await client.call("remove_file", { path: "back" })).error?.code).toBe("not_found");
    expect((await client.call("remove_file", { path: "back", missing_ok: true })).structured).toEqual({
      path: "/home/user/back",
      removed: false,
    });
  });

  it.each([
    ["remove_file", { path: "/home/user", recursive: true }, "invalid_argument"],
    ["remove_file", { path: "/etc", recursive: true }, "permission_denied"],
    ["make_directory", { path: "/var/x" }, "permission_denied"],
    ["make_directory", { path: "d", mode: "999" }, "invalid_argument"],
    ["move_file", { source: "d", destination: "d/deep/d" }, "invalid_argument"],
    ["move_file", { source: "d", destination: "../../etc/d" }, "permission_denied"],
    ["move_file", { source: "d", destination: "x\u0000" }, "invalid_argument"],
    ["move_file", { source: "none", destination: "x" }, "not_found"],
    ["move_file", { source: "d", destination: `${"x".repeat(256)}` }, "invalid_argument"],
  ])("%s %j is refused", async (tool, args, code) => {
    await client.call("make_directory", { path: "d/deep" });
    expect((await client.call(tool, args)).error).toMatchObject({ code });
    expect(await names("d")).toContain("d/deep");
  });

  it("neither half copies nor loses a file where the disk is full", async () => {
    await client.run(
      "open('big', 'wb').write(bytes(30 << 20))\nimport os\nroom = os.statvfs('.').f_bavail * 4096\nf = open('fill', 'wb'); f.write(bytes(room - (5 << 20))); f.close()",
    );
    const full = await client.call("move_file", { source: "big", destination: "big2", copy: true });
    expect(full.error).toMatchObject({ code: "limit_exceeded" });
    expect((await client.call("list_directory", {})).structured.entries.map((entry: { name: string }) => entry.name)).not.toContain("big2");
    await write("small.txt", "old");
    await client.run("f = open('fill2', 'wb')\ntry:\n    while True: f.write(bytes(4096)); f.flush()\nexcept OSError: pass");
    const edited = await client.call("edit_file", { path: "small.txt", edits: [{ old_text: "old", new_text: "n".repeat(100_000) }] });
    expect(edited.error).toMatchObject({ code: "limit_exceeded" });
    expect(await read("small.txt")).toBe("old");
    expect((await client.run("[name for name in os.listdir() if 'kernelbox-' in name]")).structured.result).toBe("[]");
    await client.run("for name in ('big', 'fill', 'fill2'): os.remove(name)");
  });
});
