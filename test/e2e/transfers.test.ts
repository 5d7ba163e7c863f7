import { execFile } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { mkdir, mkdtemp, readdir, readFile, realpath, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startClient, type TestClient } from "../helpers/client.ts";
import { guardAgainstLeaks } from "../helpers/containers.ts";

guardAgainstLeaks();

const KiB = 1024;
const sha256 = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");

let client: TestClient;
let local: string;
beforeAll(async () => {
  local = await realpath(await mkdtemp(join(tmpdir(), "kernelbox-transfers-")));
  await mkdir(join(local, "kept"));
  client = await startClient("sdk 2, 2026-07-28", ["--allow-dir", local, "--tools", "core,files"]);
});
afterAll(async () => {
  await client.close();
  await rm(local, { recursive: true });
});

describe("files up and down", () => {
  it.each([0, 1, 256 * KiB - 1, 256 * KiB, 256 * KiB + 1, 5_000_011])("%i bytes come back as they were", async (size) => {
    const bytes = randomBytes(size);
    await writeFile(join(local, `odd-${size}.bin`), bytes);
    const up = await client.call("upload_file", { local_path: `odd-${size}.bin`, path: "in/" });
    expect(up.structured).toMatchObject({ path: `/home/user/in/odd-${size}.bin`, size_bytes: size, sha256: sha256(bytes) });
    const inside = await client.run(`sha256sum in/odd-${size}.bin && stat -c %a in/odd-${size}.bin`, { language: "bash" });
    expect(inside.structured.stdout).toBe(`${sha256(bytes)}  in/odd-${size}.bin\n644\n`);
    const down = await client.call("download_file", { path: `in/odd-${size}.bin`, local_path: `back-${size}.bin` });
    expect(down.structured).toEqual({
      path: `/home/user/in/odd-${size}.bin`,
      local_path: join(local, `back-${size}.bin`),
      size_bytes: size,
      sha256: sha256(bytes),
      file_id: up.structured.file_id,
      entries: null,
      skipped: null,
    });
    expect((await readFile(join(local, `back-${size}.bin`))).equals(bytes)).toBe(true);
    expect((await stat(join(local, `back-${size}.bin`))).mode & 0o7777).toBe(0o644);
    expect((await readdir(local)).filter((name) => name.startsWith("."))).toEqual([]);
  });
});

const upload = async (args: Record<string, unknown>) => await client.call("upload_file", args);
const download = async (args: Record<string, unknown>) => await client.call("download_file", args);
const hidden = async () => (await readdir(local, { recursive: true })).filter((name) => name.includes(".kernelbox-"));
const unfinished = "[name for _, _, names in __import__('os').walk('/home/user') for name in names if '.kernelbox-' in name]";

describe("what is there already", () => {
  it("is replaced only when that is asked for, on both sides", async () => {
    await writeFile(join(local, "one.txt"), "one");
    await writeFile(join(local, "two.txt"), "two");
    expect((await upload({ local_path: "one.txt", path: "same.txt" })).isError).toBe(false);
    expect((await upload({ local_path: "two.txt", path: "same.txt" })).error).toMatchObject({
      code: "already_exists",
      hint: expect.stringContaining("overwrite"),
    });
    expect((await client.call("read_file", { path: "same.txt" })).structured.content).toBe("one");
    expect((await upload({ local_path: "two.txt", path: "same.txt", overwrite: true })).structured.size_bytes).toBe(3);
    expect((await download({ path: "same.txt", local_path: "one.txt" })).error).toMatchObject({ code: "already_exists" });
    expect(await readFile(join(local, "one.txt"), "utf8")).toBe("one");
    expect((await download({ path: "same.txt", local_path: "one.txt", overwrite: true })).isError).toBe(false);
    expect(await readFile(join(local, "one.txt"), "utf8")).toBe("two");
  });

  it("goes to one of two that come at once, whole", async () => {
    for (const name of ["a", "b"]) await writeFile(join(local, `${name}.bin`), Buffer.alloc(3_000_000, name));
    const up = await Promise.all(["a", "b"].map((name) => upload({ local_path: `${name}.bin`, path: "race.bin" })));
    expect(up.map((reply) => reply.error?.code ?? "ok").sort()).toEqual(["already_exists", "ok"]);
    const inside = await client.run("set(open('race.bin', 'rb').read())");
    expect(["{97}", "{98}"]).toContain(inside.structured.result);
    const down = await Promise.all([1, 2].map(() => download({ path: "race.bin", local_path: "race.bin" })));
    expect(down.map((reply) => reply.error?.code ?? "ok").sort()).toEqual(["already_exists", "ok"]);
    expect((await stat(join(local, "race.bin"))).size).toBe(3_000_000);
    expect(await hidden()).toEqual([]);
  });
});

describe("refusals", () => {
  it.each([
    ["a folder that is not allowed", { local_path: "/etc/hostname", path: "x" }, "permission_denied", /outside/],
    ["what is not there outside", { local_path: "/etc/none", path: "x" }, "permission_denied", /outside/],
    ["a way out", { local_path: "../../etc/hostname", path: "x" }, "permission_denied", /outside/],
    ["a hidden file", { local_path: ".env", path: "x" }, "permission_denied", /dot/],
    ["what is in a hidden folder", { local_path: ".git/config", path: "x" }, "permission_denied", /dot/],
    ["a link", { local_path: "link", path: "x" }, "permission_denied", /link/],
    ["what is behind a link", { local_path: "out/hostname", path: "x" }, "permission_denied", /link/],
    ["a pipe", { local_path: "pipe", path: "x" }, "invalid_argument", /special/],
    ["what is not there", { local_path: "none", path: "x" }, "not_found", /nothing/],
    ["a place outside the sandbox's folders", { local_path: "one.txt", path: "/etc/x" }, "permission_denied", /outside/],
    ["a file that is no archive", { local_path: "one.txt", path: "tree", unpack: true }, "invalid_argument", /archive/],
    ["a shared name with folders", { local_path: "one.txt", path: "a/b", scope: "shared" }, "invalid_argument", /slash/],
    ["a shared folder", { local_path: "kept", path: "x", scope: "shared" }, "invalid_argument", /Folders/],
  ])("upload_file: %s", async (_, args, code, words) => {
    await promisify(execFile)("mkfifo", [join(local, "pipe")]).catch(() => {});
    await symlink("/etc/hostname", join(local, "link")).catch(() => {});
    await symlink("/etc", join(local, "out")).catch(() => {});
    await writeFile(join(local, ".env"), "SECRET=1");
    const reply = await upload(args);
    expect(reply.error, reply.text).toMatchObject({ code, message: expect.stringMatching(words) });
    expect((await client.call("stat_file", { path: "x" })).error?.code).toBe("not_found");
  });

  it.each([
    ["a hidden file", { local_path: ".bashrc" }, "permission_denied", /dot/],
    ["a hook of git", { local_path: ".git/hooks/pre-commit" }, "permission_denied", /dot/],
    ["a way out", { local_path: "../planted" }, "permission_denied", /outside/],
    ["the place of a link", { local_path: "link", overwrite: true }, "invalid_argument", /link/],
    ["a folder behind a link", { local_path: "out/planted" }, "permission_denied", /link/],
    ["a folder that is not there", { local_path: "none/x" }, "not_found", /not there/],
  ])("download_file: %s", async (_, args, code, words) => {
    await client.call("write_file", { path: "plain.txt", content: "plain" });
    const reply = await download({ path: "plain.txt", ...args });
    expect(reply.error, reply.text).toMatchObject({ code, message: expect.stringMatching(words) });
    expect(await hidden()).toEqual([]);
  });

  it.each([
    ["a folder", "/home/user", "invalid_argument", /\.tar/],
    ["a pipe", "pipe", "invalid_argument", /special|not a regular/],
    ["a link", "to-passwd", "permission_denied|invalid_argument", /link/],
    ["a device", "/dev/zero", "permission_denied", /outside/],
    ["what is not there", "none", "not_found", /no file/],
    ["a name of nothing", "kernelbox://executions/exe_none/stdout", "not_found", /no resource/],
    ["an id of nothing", "kernelbox://files/file_none", "not_found", /no resource/],
  ])("download_file: %s where a file is meant", async (_, path, code, words) => {
    await client.run(
      "import os\nfor make in (lambda: os.mkfifo('pipe'), lambda: os.symlink('/etc/passwd', 'to-passwd')):\n    try: make()\n    except FileExistsError: pass",
    );
    const reply = await download({ path, local_path: "never" });
    expect(reply.error?.code, reply.text).toMatch(new RegExp(`^(${code})$`));
    expect(`${reply.error?.message} ${reply.error?.hint}`).toMatch(words);
    expect(await readdir(local)).not.toContain("never");
  });

  it("say which flag allows a folder, where none is, and keep one that is for reading only", async () => {
    await using none = await startClient(undefined, []);
    const refused = await none.call("upload_file", { local_path: join(local, "one.txt"), path: "x" });
    expect(refused.error).toMatchObject({ code: "permission_denied", hint: expect.stringContaining("--allow-dir") });
    await using reading = await startClient(undefined, ["--allow-dir", `${local}:ro`]);
    expect((await reading.call("upload_file", { local_path: "one.txt", path: "x" })).isError).toBe(false);
    const written = await reading.call("download_file", { path: "x", local_path: "written" });
    expect(written.error).toMatchObject({ code: "permission_denied", message: expect.stringContaining("reading only") });
  });
});

describe("a transfer that does not end well", () => {
  it("leaves nothing when its caller leaves, on either side", async () => {
    const size = 400_000_000;
    await promisify(execFile)("truncate", ["-s", String(size), join(local, "large.bin")]);
    const leaving = new AbortController();
    const up = client.call("upload_file", { local_path: "large.bin", path: "large.bin" }, { signal: leaving.signal });
    setTimeout(() => leaving.abort(), 150);
    await expect(up).rejects.toThrow();
    await client.run("import time\ntime.sleep(0.5)");
    expect((await client.run(unfinished)).structured.result).toBe("[]");
    expect((await client.call("stat_file", { path: "large.bin" })).error?.code).toBe("not_found");
    await client.run(`open('down.bin', 'wb').truncate(${size})`);
    const again = new AbortController();
    const down = client.call("download_file", { path: "down.bin", local_path: "down.bin" }, { signal: again.signal });
    setTimeout(() => again.abort(), 150);
    await expect(down).rejects.toThrow();
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(await hidden()).toEqual([]);
    expect(await readdir(local)).not.toContain("down.bin");
    await rm(join(local, "large.bin"));
  });

  it("says so where the sandbox has no room, and keeps what was there", async () => {
    await promisify(execFile)("truncate", ["-s", "600000000", join(local, "toolarge.bin")]);
    await client.call("write_file", { path: "old.txt", content: "old" });
    const reply = await upload({ local_path: "toolarge.bin", path: "old.txt", overwrite: true });
    expect(reply.error).toMatchObject({ code: "limit_exceeded" });
    expect((await client.call("read_file", { path: "old.txt" })).structured.content).toBe("old");
    expect((await client.run(unfinished)).structured.result).toBe("[]");
    await rm(join(local, "toolarge.bin"));
  });

  it("is busy where the file is written over meanwhile, and writes nothing", async () => {
    await client.run("open('changing.bin', 'wb').write(bytes(100_000_000))");
    const writing = client.run(
      "import time\nend = time.time() + 4\nwhile time.time() < end:\n    with open('changing.bin', 'r+b') as f: f.write(b'x')\n    time.sleep(0.005)",
    );
    await new Promise((resolve) => setTimeout(resolve, 300));
    const reply = await download({ path: "changing.bin", local_path: "changing.bin" });
    expect(reply.error).toMatchObject({ code: "busy" });
    expect(await readdir(local)).not.toContain("changing.bin");
    expect(await hidden()).toEqual([]);
    await writing;
  });
});

describe("any name", () => {
  it("of what an execution left can be downloaded, and a file by its id", async () => {
    const reply = await client.run("import matplotlib.pyplot as plt\nplt.plot([1, 2]); plt.show()\nprint('x' * 50_000)");
    const picture = await download({ path: reply.structured.outputs[0].uri, local_path: "plot.png" });
    expect(picture.structured).toMatchObject({ file_id: null, size_bytes: reply.structured.outputs[0].size_bytes });
    expect((await readFile(join(local, "plot.png"))).subarray(1, 4).toString()).toBe("PNG");
    await download({ path: `kernelbox://executions/${reply.structured.execution_id}/stdout`, local_path: "out.txt" });
    expect((await readFile(join(local, "out.txt"))).length).toBe(50_001);
    await writeFile(join(local, "by-id.txt"), "by id");
    const { file_id: id } = (await upload({ local_path: "by-id.txt", path: "by-id.txt" })).structured;
    expect(id).toMatch(/^file_/);
    expect((await client.call("read_file", { path: `kernelbox://files/${id}` })).structured.content).toBe("by id");
    expect((await client.readResource(`kernelbox://files/${id}`)).text).toBe("by id");
    expect((await client.call("stat_file", { path: "by-id.txt" })).structured.file_id).toBe(id);
    await download({ path: `kernelbox://files/${id}`, local_path: "kept/" });
    expect(await readdir(join(local, "kept"))).toContain("by-id.txt");
  });
});

describe("folders", () => {
  it("go in and come back as they were, without links, special files and what is hidden", async () => {
    await mkdir(join(local, "tree/deep/er"), { recursive: true });
    await mkdir(join(local, "tree/empty"));
    await mkdir(join(local, "tree/.git"));
    for (const name of ["a.txt", "deep/b.txt", "deep/er/ü ñ.txt", ".git/config", ".env"]) await writeFile(join(local, "tree", name), name);
    await writeFile(join(local, "tree/large.bin"), randomBytes(1_000_003));
    await symlink("/etc/passwd", join(local, "tree/link"));
    const up = await upload({ local_path: "tree", path: "/home/user/" });
    expect(up.structured).toMatchObject({ path: "/home/user/tree", entries: 7, skipped: 3, file_id: null });
    expect(up.text).toContain("left out 3");
    const inside = await client.run("import os\nsorted(os.path.join(p, n)[5:] for p, ds, fs in os.walk('tree') for n in ds + fs)");
    expect(inside.structured.result_json).toEqual(["a.txt", "deep", "deep/b.txt", "deep/er", "deep/er/ü ñ.txt", "empty", "large.bin"]);
    expect((await upload({ local_path: "tree", path: "tree2" })).structured.path).toBe("/home/user/tree2");
    expect((await upload({ local_path: "tree", path: "/home/user/" })).error).toMatchObject({ code: "already_exists" });
    await client.run("os.symlink('/etc/passwd', 'tree/link'); os.mkfifo('tree/pipe')");
    const down = await download({ path: "tree", local_path: "tree.tar" });
    expect(down.structured).toMatchObject({ entries: 7, skipped: 2 });
    await mkdir(join(local, "back"));
    await promisify(execFile)("tar", ["-xf", join(local, "tree.tar"), "-C", join(local, "back")]);
    expect((await readdir(join(local, "back"), { recursive: true })).sort()).toEqual(inside.structured.result_json);
    expect((await readFile(join(local, "back/large.bin"))).equals(await readFile(join(local, "tree/large.bin")))).toBe(true);
    const again = await upload({ local_path: "tree.tar", path: "again", unpack: true });
    expect(again.structured).toMatchObject({ path: "/home/user/again", entries: 7, skipped: 0 });
    // What somebody else has put into the archive leads nowhere, and leaves nothing.
    await promisify(execFile)("tar", ["-P", "-cf", join(local, "evil.tar"), "--transform=s,^,../../../tmp/,", "-C", local, "tree/a.txt"]);
    const evil = await upload({ local_path: "evil.tar", path: "evil", unpack: true });
    expect(evil.error).toMatchObject({ code: "invalid_argument", message: expect.stringContaining("leads out") });
    expect((await client.call("stat_file", { path: "evil" })).error?.code).toBe("not_found");
    expect(await hidden()).toEqual([]);
    expect((await client.run("[n for n in os.listdir('.') if 'kernelbox-' in n]")).structured.result).toBe("[]");
  });

  it("leave nothing where the sandbox has no room for all of it, or its caller leaves", async () => {
    await mkdir(join(local, "many"));
    for (let n = 0; n < 500; n++) await writeFile(join(local, "many", `${n}.txt`), `${n}`);
    const up = await upload({ local_path: "many", path: "many" });
    expect(up.structured).toMatchObject({ entries: 500, skipped: 0 });
    const leaving = new AbortController();
    const left = client.call("upload_file", { local_path: "many", path: "left" }, { signal: leaving.signal });
    setTimeout(() => leaving.abort(), 100);
    await expect(left).rejects.toThrow();
    for (const n of [1, 2, 3]) await promisify(execFile)("truncate", ["-s", "200000000", join(local, "many", `large-${n}.bin`)]);
    expect((await upload({ local_path: "many", path: "full" })).error).toMatchObject({ code: "limit_exceeded" });
    const rest = await client.run(
      "import time; time.sleep(0.5); [n for n in os.listdir('.') if 'kernelbox-' in n or n in ('left', 'full')]",
    );
    expect(rest.structured.result).toBe("[]");
  });
});
