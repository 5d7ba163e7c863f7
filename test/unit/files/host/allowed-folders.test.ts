import { execFileSync, spawn } from "node:child_process";
import {
  appendFileSync,
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { AllowedFolders } from "../../../../src/files/host/allowed-folders.ts";
import { HostFile } from "../../../../src/files/host/host-file.ts";
import { HostFolder } from "../../../../src/files/host/host-folder.ts";
import { LIMITS } from "../../../../src/limits.ts";

let top: string;
let outside: string;
let dir: string;
let folders: AllowedFolders;
const allow = (real: string, isReadOnly = false, given = real) => ({ given, real, isReadOnly });

beforeEach(() => {
  top = realpathSync(mkdtempSync(join(tmpdir(), "kernelbox-allowed-")));
  outside = join(top, "outside");
  dir = join(top, "dir");
  mkdirSync(join(dir, "sub"), { recursive: true });
  mkdirSync(outside);
  writeFileSync(join(outside, "secret"), "secret");
  writeFileSync(join(dir, "a.txt"), "hello");
  writeFileSync(join(dir, "sub/b.txt"), "below");
  folders = new AllowedFolders([allow(dir)]);
});
afterEach(async () => {
  await folders.close();
  rmSync(top, { recursive: true });
});

async function read(path: string, from = folders): Promise<string> {
  const file = await from.open(path);
  try {
    if (!(file instanceof HostFile)) throw new TypeError("a folder");
    const pieces: Buffer[] = [];
    for await (const piece of file.bytes()) pieces.push(piece);
    return Buffer.concat(pieces).toString();
  } finally {
    await file.close();
  }
}

async function write(path: string, text: string, how: { overwrite?: boolean; ownName?: string } = {}, to = folders): Promise<string> {
  const part = await to.create(path, { overwrite: false, sizeBytes: text.length, ...how });
  await part.write(Buffer.from(text));
  await part.commit();
  return part.path;
}

const refusal = async (promise: Promise<unknown>) => {
  const error = await promise.then(
    () => undefined,
    (thrown) => thrown,
  );
  return { code: error?.code, message: error?.message, hint: error?.hint };
};
/** Everything that lies in the test's folder, to see that nothing was left. */
const all = () => readdirSync(top, { recursive: true }).map(String).sort();

describe("what may be read", () => {
  it("lies beneath an allowed folder, by whichever name that has", async () => {
    symlinkSync(dir, join(top, "alias"));
    const both = new AllowedFolders([allow(dir, false, join(top, "alias"))]);
    for (const path of [join(dir, "a.txt"), join(top, "alias/a.txt"), "a.txt", "./sub/../a.txt"])
      expect(await read(path, both)).toBe("hello");
    expect(await read("sub/b.txt")).toBe("below");
    const folder = await folders.open("sub");
    expect(folder).toBeInstanceOf(HostFolder);
    await folder.close();
  });

  it("is not told of what lies outside, be it there or not", async () => {
    const isThere = await refusal(folders.open(join(outside, "secret")));
    expect(isThere).toMatchObject({ code: "permission_denied", hint: expect.stringContaining("--allow-dir") });
    for (const path of [
      "../outside/secret",
      "../outside/none",
      join(outside, "none"),
      "/etc/shadow",
      "/",
      "sub/../../outside/secret",
      `${dir}x/a`,
    ])
      expect(await refusal(folders.open(path))).toEqual(isThere);
    symlinkSync(join(outside, "secret"), join(dir, "to-file"));
    symlinkSync(join(outside, "none"), join(dir, "to-nothing"));
    symlinkSync(outside, join(dir, "to-folder"));
    symlinkSync("a.txt", join(dir, "to-own"));
    const linked = await refusal(folders.open("to-file"));
    expect(linked).toMatchObject({ code: "permission_denied", message: expect.stringContaining("link") });
    for (const path of ["to-nothing", "to-folder", "to-folder/secret", "to-folder/none", "to-nothing/x", "to-own"])
      expect(await refusal(folders.open(path))).toEqual(linked);
  });

  it("has no name that begins with a dot", async () => {
    mkdirSync(join(dir, ".ssh"));
    writeFileSync(join(dir, ".ssh/id"), "key");
    writeFileSync(join(dir, ".env"), "key");
    for (const path of [".env", ".ssh/id", ".ssh/none", "sub/.git", "\u200c.env", "...", ".none"])
      expect(await refusal(folders.open(path))).toMatchObject({ code: "permission_denied", message: expect.stringContaining("dot") });
  });

  it("is a regular file", async () => {
    execFileSync("mkfifo", [join(dir, "fifo")]);
    const server = createServer().listen(join(dir, "socket"));
    for (const path of ["fifo", "socket"])
      expect(await refusal(folders.open(path))).toMatchObject({ code: "invalid_argument", message: expect.stringContaining("special") });
    const devices = new AllowedFolders([allow("/dev")]);
    for (const path of ["null", "/dev/zero", "tty"]) expect(await refusal(devices.open(path))).toMatchObject({ code: "invalid_argument" });
    await new Promise((resolve) => server.close(resolve));
  });

  it.each([
    ["none", "not_found"],
    ["none/none", "not_found"],
    ["a.txt/x", "not_found"],
    ["", "invalid_argument"],
    ["a\0b", "invalid_argument"],
    ["n".repeat(300), "invalid_argument"],
    ["é".repeat(LIMITS.pathBytes / 2 + 1), "invalid_argument"],
  ])("%j is refused as %s", async (path, code) => {
    expect(await refusal(folders.open(path))).toMatchObject({ code, hint: expect.stringMatching(/./) });
  });

  it("needs an absolute path where several folders are allowed, and the innermost of them decides", async () => {
    const two = new AllowedFolders([allow(dir), allow(join(dir, "sub"), true), allow(outside)]);
    expect(await refusal(two.open("a.txt"))).toMatchObject({ code: "invalid_argument" });
    expect(await read(join(outside, "secret"), two)).toBe("secret");
    expect(await refusal(write(join(dir, "sub/new"), "x", {}, two))).toMatchObject({ code: "permission_denied" });
    expect(await write(join(dir, "new"), "x", {}, two)).toBe(join(dir, "new"));
    for (const twice of [
      [allow(dir), allow(dir, true)],
      [allow(dir, true), allow(dir)],
    ])
      expect(await refusal(write(join(dir, "newer"), "x", {}, new AllowedFolders(twice)))).toMatchObject({ code: "permission_denied" });
    expect(await refusal(new AllowedFolders([]).open("/etc/passwd"))).toMatchObject({
      code: "permission_denied",
      hint: expect.stringContaining("--allow-dir DIR"),
    });
  });

  it("is what it was when it was opened: one that shrinks or is rewritten is busy, one that grows is cut there", async () => {
    const size = 3 * LIMITS.hostReadBytes;
    const path = join(dir, "big");
    const during = async (change: () => void) => {
      writeFileSync(path, Buffer.alloc(size));
      utimesSync(path, 1, 1);
      const file = (await folders.open("big")) as HostFile;
      let bytes = 0;
      try {
        for await (const piece of file.bytes()) {
          if (bytes === 0) change();
          bytes += piece.length;
        }
        return bytes;
      } finally {
        await file.close();
      }
    };
    expect(await during(() => {})).toBe(size);
    expect(await during(() => appendFileSync(path, "more"))).toBe(size);
    expect(await during(() => rmSync(path))).toBe(size);
    expect(await refusal(during(() => truncateSync(path, size - 1)))).toMatchObject({ code: "busy" });
    expect(await refusal(during(() => truncateSync(path, 5)))).toMatchObject({ code: "busy" });
    expect(await refusal(during(() => writeFileSync(path, Buffer.alloc(size, 1))))).toMatchObject({ code: "busy" });
  });
});

describe("what is written", () => {
  it("has its name only once it is whole, and anybody may read it", async () => {
    const part = await folders.create("new.txt", { overwrite: false, sizeBytes: 10 });
    await part.write(Buffer.from("hello"));
    const [partName] = readdirSync(dir).filter((name) => name.startsWith("."));
    expect(partName).toMatch(/^\.kernelbox-[0-9a-f]{24}\.part$/);
    expect(statSync(join(dir, partName ?? "")).mode & 0o7777).toBe(0o600);
    expect(existsSync(join(dir, "new.txt"))).toBe(false);
    await part.write(Buffer.from("world"));
    await part.commit();
    expect(readFileSync(join(dir, "new.txt"), "utf8")).toBe("helloworld");
    expect(statSync(join(dir, "new.txt")).mode & 0o7777).toBe(0o644);
    expect(statSync(join(dir, "new.txt")).nlink).toBe(1);
    expect(readdirSync(dir).filter((name) => name.startsWith("."))).toEqual([]);
  });

  it("leaves nothing where it is given up, at any time and also twice", async () => {
    const before = all();
    const part = await folders.create("new.txt", { overwrite: false, sizeBytes: 5 });
    await part.write(Buffer.from("hello"));
    await Promise.all([part.abandon(), part.abandon()]);
    await expect(part.commit()).rejects.toThrow();
    expect(all()).toEqual(before);
    const open = await folders.create("sub/new.txt", { overwrite: false, sizeBytes: 5 });
    await folders.close();
    await expect(open.write(Buffer.from("late"))).rejects.toThrow();
    expect(all()).toEqual(before);
    // Whichever comes first, what has the name is whole.
    for (let turn = 0; turn < 20; turn++) {
      const raced = await folders.create("raced", { overwrite: true, sizeBytes: 5 });
      await raced.write(Buffer.from("hello"));
      await Promise.allSettled([raced.commit(), new Promise((resolve) => setTimeout(resolve, turn / 10)).then(() => raced.abandon())]);
      if (existsSync(join(dir, "raced"))) expect(readFileSync(join(dir, "raced"), "utf8")).toBe("hello");
      expect(readdirSync(dir).filter((name) => name.startsWith("."))).toEqual([]);
    }
  });

  it("replaces a file only where it may, also one that came meanwhile", async () => {
    expect(await refusal(write("a.txt", "new"))).toMatchObject({ code: "already_exists", hint: expect.stringContaining("overwrite") });
    const late = await folders.create("late.txt", { overwrite: false, sizeBytes: 3 });
    await late.write(Buffer.from("new"));
    writeFileSync(join(dir, "late.txt"), "other");
    expect(await refusal(late.commit())).toMatchObject({ code: "already_exists" });
    expect(readFileSync(join(dir, "late.txt"), "utf8")).toBe("other");
    linkSync(join(dir, "a.txt"), join(dir, "hard"));
    chmodSync(join(dir, "a.txt"), 0o600);
    await write("a.txt", "new", { overwrite: true });
    expect(readFileSync(join(dir, "a.txt"), "utf8")).toBe("new");
    expect(statSync(join(dir, "a.txt")).mode & 0o7777).toBe(0o644);
    expect(readFileSync(join(dir, "hard"), "utf8")).toBe("hello");
    expect(readdirSync(dir).filter((name) => name.startsWith("."))).toEqual([]);
  });

  it("goes into a folder under its own name, if that can be used", async () => {
    expect(await write("sub", "x", { ownName: "own" })).toBe(join(dir, "sub/own"));
    expect(await write("sub/", "y", { ownName: "own", overwrite: true })).toBe(join(dir, "sub/own"));
    expect(await write(dir, "z", { ownName: "own" })).toBe(join(dir, "own"));
    for (const ownName of [undefined, "", "a/b", "..", "a\0"])
      expect(await refusal(write("sub", "x", ownName === undefined ? {} : { ownName }))).toMatchObject({ code: "invalid_argument" });
    for (const ownName of [".", ".bashrc", "\u200c.bashrc"])
      expect((await refusal(write("sub", "x", { ownName }))).code).toBe("permission_denied");
    expect(readFileSync(join(dir, "sub/own"), "utf8")).toBe("y");
    expect(readdirSync(join(dir, "sub")).sort()).toEqual(["b.txt", "own"]);
  });

  it("goes nowhere else", async () => {
    symlinkSync(join(outside, "planted"), join(dir, "dangling"));
    symlinkSync(outside, join(dir, "to-folder"));
    symlinkSync("a.txt", join(dir, "to-own"));
    execFileSync("mkfifo", [join(dir, "fifo")]);
    mkdirSync(join(dir, ".git/hooks"), { recursive: true });
    const before = all();
    for (const [path, code] of [
      ["dangling", "invalid_argument"],
      ["to-own", "invalid_argument"],
      ["fifo", "invalid_argument"],
      ["to-folder", "invalid_argument"],
      ["to-folder/planted", "permission_denied"],
      ["to-folder/", "permission_denied"],
      ["dangling/x", "permission_denied"],
      [".git/hooks/pre-commit", "permission_denied"],
      [".bashrc", "permission_denied"],
      ["sub/.x", "permission_denied"],
      ["../outside/planted", "permission_denied"],
      [join(outside, "planted"), "permission_denied"],
      ["none/x", "not_found"],
      ["a.txt/x", "not_found"],
      ["n".repeat(300), "invalid_argument"],
    ] as const)
      for (const overwrite of [false, true])
        expect([path, (await refusal(write(path, "x", { overwrite, ownName: "o" }))).code]).toEqual([path, code]);
    const reading = new AllowedFolders([allow(dir, true)]);
    expect(await refusal(write("new", "x", {}, reading))).toMatchObject({
      code: "permission_denied",
      hint: expect.stringContaining("--allow-dir"),
    });
    expect(() => reading.checkWritable("new")).toThrow(/reading only/);
    expect(await read("a.txt", reading)).toBe("hello");
    expect(all()).toEqual(before);
  });

  it("needs room, and says so before a byte was asked for", async () => {
    expect(await refusal(folders.create("new", { overwrite: false, sizeBytes: 2 ** 60 }))).toMatchObject({ code: "limit_exceeded" });
    expect(existsSync(join(dir, "new"))).toBe(false);
  });

  it("goes nowhere once a link has taken the place of the allowed folder", async () => {
    const moved = new AllowedFolders([allow(join(dir, "sub"))]);
    rmSync(join(dir, "sub"), { recursive: true });
    symlinkSync(outside, join(dir, "sub"));
    expect((await refusal(read("secret", moved))).code).not.toBeUndefined();
    expect((await refusal(write("planted", "x", {}, moved))).code).not.toBeUndefined();
    // The same with a folder above it.
    const above = new AllowedFolders([allow(join(dir, "up/in"))]);
    mkdirSync(join(outside, "in"));
    symlinkSync(outside, join(dir, "up"));
    expect(await refusal(write("planted", "x", {}, above))).toMatchObject({ code: "permission_denied" });
    expect(readdirSync(join(outside, "in"))).toEqual([]);
  });
});

describe("while another process swaps what lies there", () => {
  /** Exchanges two names of the folder as fast as it can, until the test is over. */
  async function swapping(one: string, other: string, during: () => Promise<void>): Promise<void> {
    const code = `import os, sys\nos.chdir(sys.argv[1])\nprint('go', flush=True)\nwhile True:\n  os.rename('${one}', 'x'); os.rename('${other}', '${one}'); os.rename('${one}', '${other}'); os.rename('x', '${one}')`;
    const swapper = spawn("python3", ["-c", code, dir]);
    try {
      await new Promise((resolve) => swapper.stdout.once("data", resolve));
      for (const until = Date.now() + 1_500; Date.now() < until; ) await during();
    } finally {
      swapper.kill("SIGKILL");
    }
  }
  const outcome = async (promise: Promise<string>) =>
    await promise.then(
      (text) => text,
      (error) => error.code,
    );

  it("a folder for a link: nothing of the outside is read, and nothing is written there", async () => {
    mkdirSync(join(dir, "real"));
    writeFileSync(join(dir, "real/secret"), "open");
    symlinkSync(outside, join(dir, "link"));
    const seen = new Set<string>();
    await swapping("real", "link", async () => {
      seen.add(await outcome(read("real/secret")));
      seen.add((await outcome(write("real/planted", "x", { overwrite: true }))).replace(dir, ""));
    });
    expect([...seen].sort()).toEqual(["/real/planted", "not_found", "open", "permission_denied"]);
    expect(readdirSync(outside)).toEqual(["secret"]);
  });

  it("a file for a FIFO: it is not read, and nothing waits for it", async () => {
    writeFileSync(join(dir, "file"), "text");
    execFileSync("mkfifo", [join(dir, "pipe")]);
    const seen = new Set<string>();
    await swapping("file", "pipe", async () => {
      seen.add(await outcome(read("file")));
    });
    expect([...seen].sort()).toEqual(["invalid_argument", "not_found", "text"]);
  });
});
