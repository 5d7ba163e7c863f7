import { mkdtemp, readdir, readFile, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createApp } from "../../src/app.ts";
import { readConfig } from "../../src/config.ts";
import { LIMITS } from "../../src/limits.ts";
import { startClient, TEST_IMAGE, type TestClient } from "../helpers/client.ts";
import { docker, eventually, guardAgainstLeaks, ourContainerInfos, ourContainers } from "../helpers/containers.ts";
import { log } from "../helpers/sandbox.ts";

guardAgainstLeaks();

const GUESSED = "kernelbox://files/file_AAAAAAAAAAAAAAAAAAAAAA";

let local: string;
beforeAll(async () => {
  local = await realpath(await mkdtemp(join(tmpdir(), "kernelbox-shared-")));
});
afterAll(async () => await rm(local, { recursive: true }));

const start = async (flags: string[] = []) => await startClient(undefined, ["--tools", "all", "--allow-dir", local, ...flags]);

async function share(client: TestClient, name: string, content: string | Buffer, more: Record<string, unknown> = {}) {
  await writeFile(join(local, name), content);
  return await client.call("upload_file", { local_path: name, path: name, scope: "shared", ...more });
}

const bash = async (client: TestClient, code: string): Promise<string> => (await client.run(code, { language: "bash" })).structured.stdout;

async function killSandbox(client: TestClient): Promise<void> {
  const [own] = await ourContainerInfos();
  await docker.getContainer(own?.Id ?? "").kill();
  await eventually(
    async () => client.stderr(),
    (stderr) => stderr.includes("sandbox ended"),
    20_000,
  );
}

describe("a shared file", () => {
  it("is in a sandbox before its first code runs, and in the next one under the same id", async () => {
    await using client = await start();
    const up = await share(client, "data.csv", "a,b\n1,2\n");
    expect(up.structured).toMatchObject({ path: "/mnt/shared/data.csv", size_bytes: 8, file_id: expect.stringMatching(/^file_/) });
    // Keeping it needs no sandbox.
    expect(await ourContainers()).toEqual([]);
    expect(await bash(client, "stat -c '%a %U' /mnt/shared/data.csv; cat /mnt/shared/data.csv")).toBe("644 user\na,b\n1,2\n");
    await killSandbox(client);
    const after = await client.run("open('/mnt/shared/data.csv').read()");
    expect(after.structured).toMatchObject({ result: "'a,b\\n1,2\\n'", state: { variables: "lost" } });
    const uri = `kernelbox://files/${up.structured.file_id}`;
    expect((await client.call("read_file", { path: uri })).structured).toMatchObject({ content: "a,b\n1,2\n", mime_type: "text/csv" });
    expect(await client.readResource(uri)).toMatchObject({ text: "a,b\n1,2\n", mimeType: "text/csv" });
  });

  it("is what was uploaded, whatever becomes of a copy", async () => {
    await using client = await start();
    const { file_id } = (await share(client, "kept.txt", "kept")).structured;
    expect(await bash(client, "echo changed > /mnt/shared/kept.txt; cat /mnt/shared/kept.txt")).toBe("changed\n");
    expect((await client.call("read_file", { path: `kernelbox://files/${file_id}` })).structured.content).toBe("kept");
    expect((await client.call("read_file", { path: "/mnt/shared/kept.txt" })).structured.content).toBe("changed\n");
    const down = await client.call("download_file", { path: "kept.txt", scope: "shared", local_path: "back.txt" });
    expect(down.structured).toMatchObject({ file_id, size_bytes: 4 });
    expect(await readFile(join(local, "back.txt"), "utf8")).toBe("kept");
    await bash(client, "rm /mnt/shared/kept.txt");
    await killSandbox(client);
    expect(await bash(client, "cat /mnt/shared/kept.txt")).toBe("kept");
  });

  it("reaches a sandbox that lives, and is overwritten only when that is asked for", async () => {
    await using client = await start();
    expect(await bash(client, "ls -A /mnt/shared | wc -l")).toBe("0\n");
    const first = await share(client, "late.txt", "old");
    expect(await bash(client, "cat /mnt/shared/late.txt")).toBe("old");
    expect((await share(client, "late.txt", "new")).error).toMatchObject({ code: "already_exists" });
    expect(await bash(client, "cat /mnt/shared/late.txt")).toBe("old");
    const second = await share(client, "late.txt", "newer", { overwrite: true });
    expect(second.structured.file_id).toBe(first.structured.file_id);
    expect(await bash(client, "cat /mnt/shared/late.txt; ls -A /mnt/shared")).toBe("newerlate.txt\n");
  });

  it("is kept, and its upload says so, where a sandbox has no room for the copy", async () => {
    await using client = await start();
    const { sandbox_id } = (
      await client.run("import shutil\nopen('/mnt/shared/full', 'wb').write(bytes(shutil.disk_usage('/mnt/shared').free))")
    ).structured;
    const up = await share(client, "more.txt", "more");
    expect(up.isError).toBe(false);
    expect(up.text).toContain(`could not be copied into ${sandbox_id}`);
    expect((await client.call("read_file", { path: `kernelbox://files/${up.structured.file_id}` })).structured.content).toBe("more");
    expect(await bash(client, "ls -A /mnt/shared")).toBe("full\n");
  });

  it("is removed by its URI, and its copies stay", async () => {
    await using client = await start();
    const { file_id } = (await share(client, "gone.txt", "gone")).structured;
    const path = `kernelbox://files/${file_id}`;
    await bash(client, "true");
    expect((await client.call("remove_file", { path })).structured).toEqual({ path, removed: true });
    for (const tool of ["read_file", "remove_file"]) expect((await client.call(tool, { path })).error?.code).toBe("not_found");
    expect((await client.call("remove_file", { path, missing_ok: true })).structured).toEqual({ path, removed: false });
    expect(await bash(client, "cat /mnt/shared/gone.txt")).toBe("gone");
    await killSandbox(client);
    expect(await bash(client, "ls -A /mnt/shared")).toBe("");
  });

  describe("that is none", () => {
    let client: TestClient;
    beforeAll(async () => {
      client = await start();
    });
    afterAll(async () => await client.close());

    it.each([
      ["a folder in its name", { path: "a/b.txt" }, "invalid_argument"],
      ["a place in the sandbox", { path: "/home/user/b.txt" }, "invalid_argument"],
      ["a hidden name", { path: ".bashrc" }, "invalid_argument"],
      ["a way up", { path: "/mnt/shared/../b.txt" }, "invalid_argument"],
      ["a tar to unpack", { path: "b", unpack: true }, "invalid_argument"],
      ["more bytes than may be kept", { path: "big", size: LIMITS.sharedBytes + 1 }, "too_large"],
    ])("has %s", async (_what, { path, size = 1, ...more }: { path: string; size?: number; unpack?: boolean }, code) => {
      const refused = await share(client, "b.txt", Buffer.alloc(size), { path, ...more });
      expect(refused.error).toMatchObject({ code, hint: expect.stringMatching(/./) });
      const { resources } = await client.client.listResources();
      expect(resources).toEqual([]);
      expect(await ourContainers()).toEqual([]);
    });
  });

  it("is copied into one from the pool", async () => {
    await using client = await start(["--pool", "1"]);
    await eventually(
      async () => client.stderr(),
      (stderr) => stderr.includes("a sandbox is ready ahead"),
      30_000,
    );
    await share(client, "pooled.txt", "pooled");
    expect((await client.run("open('/mnt/shared/pooled.txt').read()")).structured.result).toBe("'pooled'");
  });

  it("that could not be copied at the claim costs no sandbox, and the first reply says so, once", async () => {
    const app = await createApp(readConfig({ image: TEST_IMAGE, allowDir: [local] }, {}), log);
    try {
      const { hostTransfers, executions } = app.services;
      for (const name of ["one", "two"]) {
        await writeFile(join(local, name), name);
        const request = { localPath: name, path: name, overwrite: false, scope: "shared" as const, unpack: false };
        await hostTransfers.upload(request, { principal: "me" });
      }
      // Their names do not tell which is which.
      const contents = join(app.owner.dir, "shared", "contents");
      await rm(join(contents, (await readdir(contents))[0] as string));
      const run = async () =>
        (await executions.execute({ code: "import os\nlen(os.listdir('/mnt/shared'))", language: "python" }, { principal: "me" })).result;
      const first = await run();
      expect(first).toMatchObject({ status: "ok", result: "1" });
      expect(first.notices).toEqual([expect.stringContaining("1 of 2 shared files could not be copied")]);
      expect((await run()).notices).toEqual([]);
    } finally {
      await app.close();
    }
  });
});

describe("the id of a file in a sandbox", () => {
  it("names it as long as the sandbox lives, whatever becomes of the file, and no longer", async () => {
    await using client = await start();
    await writeFile(join(local, "in.txt"), "one");
    const { file_id } = (await client.call("upload_file", { local_path: "in.txt", path: "in.txt" })).structured;
    expect((await client.call("stat_file", { path: "/mnt/data/in.txt" })).structured.file_id).toBe(file_id);
    expect((await client.call("download_file", { path: "in.txt", local_path: "out.txt" })).structured.file_id).toBe(file_id);
    const path = `kernelbox://files/${file_id}`;
    await bash(client, "echo two > in.txt");
    expect((await client.call("read_file", { path })).structured).toMatchObject({ path: "/home/user/in.txt", content: "two\n" });
    await bash(client, "rm in.txt");
    expect((await client.call("read_file", { path })).error).toMatchObject({ code: "not_found" });
    await bash(client, "echo three > in.txt");
    expect(await client.readResource(path)).toMatchObject({ text: "three\n" });
    await killSandbox(client);
    expect((await client.call("read_file", { path })).error).toMatchObject({ code: "not_found" });
    await bash(client, "echo four > in.txt");
    const anew = (await client.call("stat_file", { path: "in.txt" })).structured.file_id;
    expect(anew).not.toBe(file_id);
  });

  it("is nobody's where it was guessed", async () => {
    await using client = await start();
    for (const tool of ["read_file", "remove_file"]) expect((await client.call(tool, { path: GUESSED })).error?.code).toBe("not_found");
    const args = { path: GUESSED, local_path: "never.txt" };
    expect((await client.call("download_file", args)).error?.code).toBe("not_found");
    await expect(client.readResource(GUESSED)).rejects.toMatchObject({ message: expect.stringContaining("not found") });
    expect(await readdir(local)).not.toContain("never.txt");
  });

  it("is unknown to another principal", async () => {
    const app = await createApp(readConfig({ image: TEST_IMAGE, allowDir: [local] }, {}), log);
    try {
      const { hostTransfers, sources, identified } = app.services;
      await writeFile(join(local, "mine.txt"), "mine");
      for (const scope of ["shared", "sandbox"] as const) {
        const request = { localPath: "mine.txt", path: "mine.txt", overwrite: false, scope, unpack: false };
        const { fileId } = await hostTransfers.upload(request, { principal: "me" });
        const path = `kernelbox://files/${fileId}`;
        await expect(sources.open({ path }, { principal: "you" })).rejects.toMatchObject({ code: "not_found" });
        await expect(identified.removeShared({ path, missingOk: false }, "you")).rejects.toMatchObject({ code: "not_found" });
        expect(await sources.open({ path }, { principal: "me" })).toMatchObject({ sizeBytes: 4 });
      }
    } finally {
      await app.close();
    }
  });
});
