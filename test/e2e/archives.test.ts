import { mkdir, mkdtemp, readdir, readFile, realpath, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { LIMITS } from "../../src/limits.ts";
import { startClient, type TestClient } from "../helpers/client.ts";
import { eventually, guardAgainstLeaks } from "../helpers/containers.ts";
import { base256, entry, gnuLong, header, pax, tar } from "../helpers/tar.ts";

guardAgainstLeaks();

let client: TestClient;
let local: string;
beforeAll(async () => {
  local = await realpath(await mkdtemp(join(tmpdir(), "kernelbox-archives-")));
  client = await startClient("sdk 2, 2026-07-28", ["--allow-dir", local, "--tools", "core,files"]);
  await client.run("1");
});
afterAll(async () => {
  await client.close();
  await rm(local, { recursive: true });
});

const upload = async (args: Record<string, unknown>, signal?: AbortSignal) =>
  await client.call("upload_file", args, signal === undefined ? {} : { signal });
/** All that lies in the sandbox's folders, hidden or not, and has this in its path. */
const inside = async (part = ""): Promise<string[]> => {
  const all = "(os.path.join(p, n) for top in ('/home/user', '/tmp', '/mnt/shared') for p, ds, fs in os.walk(top) for n in ds + fs)";
  return (await client.run(`import os\nsorted(path for path in ${all} if ${JSON.stringify(part)} in path)`)).structured.result_json;
};
const parts = async () => {
  const local_ = (await readdir(local, { recursive: true })).filter((name) => name.includes(".kernelbox-"));
  return [...local_, ...(await inside(".kernelbox-"))];
};
const openFiles = async () => (await readdir(`/proc/${client.pid}/fd`)).length;

describe("a hostile archive", () => {
  let before: string[];
  beforeAll(async () => {
    before = await inside();
  });

  const first = entry("planted", "x");
  it.each([
    ["an absolute name", [first, entry("/home/user/planted", "x")], "invalid_argument"],
    ["a way out", [first, entry("../planted", "x")], "invalid_argument"],
    ["a way out by pax", [first, pax({ path: "a/../../planted" }), entry("y", "x")], "invalid_argument"],
    ["a way out by GNU's long names", [first, gnuLong("L", "../../../tmp/planted"), entry("y", "x")], "invalid_argument"],
    ["a file twice", [first, first], "invalid_argument"],
    ["a file as a folder", [first, entry("planted/x", "x")], "invalid_argument"],
    ["a size that is not there", [first, header({ name: "y", size: 2 ** 32 })], "invalid_argument"],
    ["an exbibyte", [first, header({ name: "y", size: base256(2n ** 60n) })], "too_large"],
    ["pax that claims a gigabyte", [first, header({ name: "y", type: "x", size: 2 ** 30 })], "invalid_argument"],
    ["too deep a name", [first, entry("d/".repeat(LIMITS.archiveDepth + 1), "")], "invalid_argument"],
  ])("with %s is refused, and nothing of it is left anywhere", async (_, blocks, code) => {
    await writeFile(join(local, "hostile.tar"), tar(...blocks));
    const reply = await upload({ local_path: "hostile.tar", path: "tree", unpack: true });
    expect(reply.error, reply.text).toMatchObject({ code, hint: expect.stringMatching(/./) });
    expect(await inside()).toEqual(before);
  });

  it("with links, devices and hard links gives its files only, each beneath the folder", async () => {
    const blocks = [
      entry("l", "", { type: "2", linkname: "/home/user" }),
      entry("l/planted", "x"),
      entry("t", "", { type: "2", linkname: "/tmp" }),
      entry("h", "", { type: "1", linkname: "/etc/passwd" }),
      entry("dev", "", { type: "3" }),
      entry("pipe", "", { type: "6" }),
    ];
    await writeFile(join(local, "links.tar"), tar(...blocks));
    const reply = await upload({ local_path: "links.tar", path: "links", unpack: true });
    expect(reply.structured).toMatchObject({ path: "/home/user/links", entries: 1, skipped: 5 });
    const names = await inside();
    expect(names.filter((name) => !before.includes(name))).toEqual([
      "/home/user/links",
      "/home/user/links/l",
      "/home/user/links/l/planted",
    ]);
    await client.run("import shutil\nshutil.rmtree('links')");
  });
});

describe("a folder", () => {
  const many = 2_000;
  beforeAll(async () => {
    for (let at = 0; at < many; at++) {
      const folder = join(local, "many", `d${at % 20}`);
      if (at < 20) await mkdir(folder, { recursive: true });
      await writeFile(join(folder, `f${at}`), `text ${at}`);
    }
  });

  it("of 2,000 small files goes in and comes back in reasonable time", async () => {
    const before = await openFiles();
    const start = performance.now();
    const up = await upload({ local_path: "many", path: "many" });
    const between = performance.now();
    expect(up.structured, up.text).toMatchObject({ path: "/home/user/many", entries: many + 20, skipped: 0 });
    const down = await client.call("download_file", { path: "many", local_path: "many.tar" });
    const end = performance.now();
    expect(down.structured, down.text).toMatchObject({ entries: many + 20, skipped: 0 });
    process.stdout.write(`2,000 files: ${Math.round(between - start)} ms in, ${Math.round(end - between)} ms out\n`);
    expect(end - start).toBeLessThan(60_000);
    const again = await upload({ local_path: "many.tar", path: "again", unpack: true });
    expect(again.structured).toMatchObject({ entries: many + 20 });
    expect(
      (await client.run("import filecmp, subprocess\nsubprocess.run(['diff', '-r', 'many', 'again']).returncode")).structured.result,
    ).toBe("0");
    expect(await parts()).toEqual([]);
    expect(await eventually(openFiles, (now) => now <= before, 5_000)).toBeLessThanOrEqual(before);
  });

  it("that is there already is not touched, unless it is empty and may be replaced", async () => {
    await mkdir(join(local, "small"), { recursive: true });
    await writeFile(join(local, "small/new"), "new");
    await client.run("import os\nos.makedirs('there/small'); open('there/small/old', 'w').write('old'); open('a-file', 'w').write('old')");
    for (const overwrite of [false, true]) {
      const reply = await upload({ local_path: "small", path: "there", overwrite });
      expect(reply.error, `overwrite ${overwrite}`).toMatchObject({ code: "already_exists" });
    }
    expect((await upload({ local_path: "small", path: "a-file" })).error).toMatchObject({ code: "already_exists" });
    expect((await upload({ local_path: "small", path: "a-file/below" })).isError).toBe(true);
    const seen = await client.run("os.listdir('there/small'), open('there/small/old').read(), open('a-file').read()");
    expect(seen.structured.result).toBe("(['old'], 'old', 'old')");
    expect(await parts()).toEqual([]);
  });

  it("whose caller leaves leaves nothing, on either side and whichever file it is at", async () => {
    const before = await openFiles();
    for (const ms of [30, 200, 600]) {
      const leaving = new AbortController();
      const up = upload({ local_path: "many", path: "left" }, leaving.signal);
      setTimeout(() => leaving.abort(), ms);
      await expect(up).rejects.toThrow();
      await eventually(parts, (left) => left.length === 0, 10_000);
      expect((await client.call("stat_file", { path: "left" })).error?.code).toBe("not_found");
      const again = new AbortController();
      const down = client.call("download_file", { path: "many", local_path: "left.tar" }, { signal: again.signal });
      setTimeout(() => again.abort(), ms);
      await expect(down).rejects.toThrow();
      await eventually(parts, (left) => left.length === 0, 10_000);
      expect(await readdir(local)).not.toContain("left.tar");
    }
    expect(await eventually(openFiles, (now) => now <= before, 5_000)).toBeLessThanOrEqual(before);
    expect((await client.run("1 + 1")).structured.result).toBe("2");
  });

  it("that has no room is refused as that, and nothing of it is left", async () => {
    await mkdir(join(local, "large"), { recursive: true });
    const block = Buffer.alloc(20_000_000, "x");
    // To the last 60 MB, three of the four.
    const filled = await client.run(
      "import shutil\nfree = lambda: shutil.disk_usage('/home/user').free\nwith open('filling', 'wb') as f: f.write(bytes(free() - 60_000_000))\nfree()",
    );
    const before = Number(filled.structured.result);
    expect(before).toBeGreaterThan(50_000_000);
    expect(before).toBeLessThan(70_000_000);
    const large: Buffer[] = [];
    for (let at = 0; at < 4; at++) {
      await writeFile(join(local, "large", `f${at}`), block);
      large.push(entry(`f${at}`, block));
    }
    await writeFile(join(local, "large.tar"), tar(...large));
    for (const args of [{ local_path: "large" }, { local_path: "large.tar", unpack: true }]) {
      const reply = await upload({ ...args, path: "large" });
      expect(reply.error, reply.text).toMatchObject({ code: "limit_exceeded" });
      expect((await client.call("stat_file", { path: "large" })).error?.code).toBe("not_found");
      expect(await parts()).toEqual([]);
      expect(Number((await client.run("free()")).structured.result)).toBeGreaterThan(before - 1_000_000);
    }
    await client.run("os.remove('filling')");
    await rm(join(local, "large"), { recursive: true });
    await rm(join(local, "large.tar"));
  });

  it("that changes while it comes out is busy, and no archive is left", async () => {
    await client.run("os.makedirs('moving')\nfor n in 'abc': open('moving/' + n, 'wb').write(bytes(30_000_000))");
    const writing = client.run(
      "import time\nend = time.time() + 3\nwhile time.time() < end:\n    for n in 'abc':\n        with open('moving/' + n, 'r+b') as f: f.write(b'x')\n    time.sleep(0.005)",
    );
    await new Promise((resolve) => setTimeout(resolve, 300));
    const reply = await client.call("download_file", { path: "moving", local_path: "moving.tar" });
    expect(reply.error, reply.text).toMatchObject({ code: "busy" });
    await writing;
    expect(await readdir(local)).not.toContain("moving.tar");
    expect(await parts()).toEqual([]);
  });
});

describe("what was there of the user's", () => {
  afterEach(async () => await rm(join(local, "kept.tar"), { force: true }));

  it("stays as it was where the archive that was to replace it does not come whole", async () => {
    await writeFile(join(local, "kept.tar"), "old");
    await client.run("os.makedirs('/tmp/' + 'd/' * 25)");
    const args = { path: "/tmp/d", local_path: "kept.tar" };
    expect((await client.call("download_file", { ...args, overwrite: true })).error).toMatchObject({ code: "too_large" });
    expect((await client.call("download_file", args)).error).toMatchObject({ code: "already_exists" });
    expect(await readFile(join(local, "kept.tar"), "utf8")).toBe("old");
    expect((await stat(join(local, "kept.tar"))).size).toBe(3);
  });
});
