import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { fileUri } from "../../src/files/uris.ts";
import { LIMITS } from "../../src/limits.ts";
import { HOSTS, startClient, type TestClient } from "../helpers/client.ts";
import { docker, eventually, guardAgainstLeaks, ourContainerInfos } from "../helpers/containers.ts";
import { ResourceHost } from "../helpers/resource-host.ts";

guardAgainstLeaks();

/** From a change to the host's word of it. */
const SOON_MS = 2_000;
/** Long enough for whatever is still on its way. */
const QUIET_MS = 1_500;

describe.each(HOSTS)("resources for a host with %s", (host) => {
  let client: TestClient;
  let resources: ResourceHost;
  let sandboxId: string;
  const uri = (path: string) => fileUri(sandboxId, `/home/user/${path}`);
  beforeAll(async () => {
    client = await startClient(host);
    resources = new ResourceHost(host, client);
    sandboxId = (await client.run("import os, shutil")).structured.sandbox_id;
  });
  afterAll(async () => await client.close());

  it("are listed by pages, all of them once and in a stable order, whatever their names", async () => {
    const made = await client.run(`
names = ['a b', '100%', '%41', 'ü', '图', '#1', 'a?b', 'a&b=c+d;e', "quote'\\"", 'back\\\\slash', 'line\\nbreak', 'bell\\x07', '\\u202e', '...', '-rf', '~', '{x}', 'x' * 255]
def put(path, text='x'):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'w') as file: file.write(text)
for name in names: put('many/' + name + '/' + name, name)
for n in range(3000): put(f'many/{n % 7}/{n:05}')
put('many/' + '/'.join('d' * 150) + '/deep')
for n in range(100): put('many/' + '/'.join(['w' * 200] * 15) + f'/{n}')
open(b'many/\\xff', 'w').close()
os.symlink('/etc/passwd', 'many/link')
os.mkfifo('many/fifo')
put('many/.kernelbox-1.part')
os.makedirs('many/empty')
sum(len(files) for _, _, files in os.walk('many'))`);
    const pages = await resources.pages();
    expect(pages.length).toBeGreaterThan(1);
    for (const page of pages) expect(Buffer.byteLength(JSON.stringify(page))).toBeLessThanOrEqual(LIMITS.replyBytes);
    const files = pages.flatMap((page) => page.resources).filter((resource) => resource.uri.startsWith(uri("many/")));
    const uris = files.map((file) => file.uri);
    // All but the four that are no files, whole, or that have no URI.
    expect(uris).toHaveLength(Number(made.structured.result) - 4);
    expect(new Set(uris).size).toBe(uris.length);
    expect((await resources.pages()).flatMap((page) => page.resources.map((resource) => resource.uri))).toEqual(
      pages.flatMap((page) => page.resources.map((resource) => resource.uri)),
    );
    const odd = files.filter((file) => !/\/many\/([0-9]\/|d\/|w+\/)/.test(file.uri));
    expect(odd).toHaveLength(18);
    for (const file of odd) {
      const { text = "" } = await client.readResource(file.uri);
      expect(fileUri(sandboxId, `/home/user/many/${text}/${text}`)).toBe(file.uri);
    }
    await client.run("shutil.rmtree('many')");
  });

  it("are completed, folder by folder", async () => {
    await client.run(`
for name in ['a.txt', 'ab.txt', 'b.txt', '100%', '%41', 'new\\nline', 'sub folder/one', 'sub folder/two', 'ü']:
    os.makedirs(os.path.dirname('names/' + name), exist_ok=True)
    open('names/' + name, 'w').close()
os.makedirs('wide')
for n in range(300): open(f'wide/{n:03}', 'w').close()
open(b'names/\\xff', 'w').close()`);
    expect(await resources.complete("sandbox_id", "sbx")).toEqual([sandboxId]);
    expect(await resources.complete("sandbox_id", "other")).toEqual([]);
    const path = async (typed: string) => await resources.complete("path", typed, sandboxId);
    expect(await path("")).toEqual(["home/user/", "mnt/shared/", "tmp/"]);
    expect(await path("ho")).toEqual(["home/user/"]);
    expect(await path("home/user/na")).toEqual(["home/user/names/"]);
    expect(await path("home/user/names/a")).toEqual(["home/user/names/a.txt", "home/user/names/ab.txt"]);
    expect(await path("home/user/names/ab.txt")).toEqual(["home/user/names/ab.txt"]);
    expect(await path("home/user/names/s")).toEqual(["home/user/names/sub folder/"]);
    expect(await path("home/user/names/sub folder/")).toEqual(["home/user/names/sub folder/one", "home/user/names/sub folder/two"]);
    // Not the ones that a template would give back as others.
    expect(await path("home/user/names/")).toEqual(
      ["100%", "a.txt", "ab.txt", "b.txt", "sub folder/", "ü"].map((name) => `home/user/names/${name}`),
    );
    expect(await path("home/user/wide/")).toHaveLength(100);
    expect(await path("home/user/wide/2")).toHaveLength(100);
    for (const nowhere of ["etc/pass", "home/user/../../etc/", "home/user/none/x", "home/user/names/a.txt/x", "x".repeat(5_000), "a\0b"])
      expect(await path(nowhere), nowhere).toEqual([]);
    expect(await resources.complete("path", "home/user/", "sbx_of_another")).toEqual([]);
    const { execution_id, context_id } = (await client.run("1")).structured;
    expect(await resources.complete("execution_id", "exe", undefined, "kernelbox://executions/{execution_id}")).toContain(execution_id);
    expect(await resources.complete("context_id", "ctx", undefined, "kernelbox://contexts/{context_id}/notebook")).toEqual([context_id]);
    await client.run("shutil.rmtree('names'); shutil.rmtree('wide')");
  });

  it("tell that they change, by code and by tools, until the host has heard enough", async () => {
    await client.run("open('watched.txt', 'w').write('1')\nos.makedirs('folder', exist_ok=True)");
    const watched = uri("watched.txt");
    await resources.during(QUIET_MS);
    await resources.listen(watched);
    expect(await resources.during(QUIET_MS)).not.toContain(watched);
    await client.run("open('other.txt', 'w').write('1')");
    expect(await resources.until("list", SOON_MS)).not.toContain(watched);
    await client.run("open('watched.txt', 'a').write('2')");
    expect(await resources.until(watched, SOON_MS)).toEqual([watched]);
    await client.call("write_file", { path: "watched.txt", content: "3" });
    expect(await resources.until(watched, SOON_MS)).toEqual([watched]);
    await client.run("os.rename('watched.txt', 'folder/elsewhere.txt')");
    await resources.until(watched, SOON_MS);
    await client.call("write_file", { path: "watched.txt", content: "4" });
    await resources.until(watched, SOON_MS);
    await client.run("os.remove('watched.txt')");
    await resources.until(watched, SOON_MS);
    expect(client.stderr()).toContain('"via":"inotify"');
    await resources.unlisten(watched);
    await client.run("open('watched.txt', 'w').write('5')");
    expect(await resources.during(QUIET_MS)).not.toContain(watched);
  });

  it("tell a burst of 10,000 changes in few words, and its end", async () => {
    const last = uri("burst/last");
    await resources.listen(last);
    await resources.during(QUIET_MS);
    const begun = Date.now();
    const burst = "os.makedirs('burst')\nfor n in range(10_000): open(f'burst/{n}', 'w').close()\nopen('burst/last', 'w').close()";
    expect((await client.run(burst)).structured.status).toBe("ok");
    const told = [...(await resources.until(last, SOON_MS)), ...(await resources.during(QUIET_MS))];
    const intervals = Math.ceil((Date.now() - begun - QUIET_MS) / LIMITS.changesIntervalMs);
    for (const one of ["list", last]) expect(told.filter((what) => what === one).length).toBeLessThanOrEqual(intervals + 2);
    await client.run("open('burst/last', 'w').write('1')");
    await resources.until(last, SOON_MS);
    await client.run("for n in range(20): open('burst/last', 'a').write('1' * 1000)");
    expect((await resources.during(QUIET_MS)).length).toBeLessThanOrEqual(3);
    await resources.unlisten(last);
  });
});

describe("resources", () => {
  it("that cannot be read say why and how else", async () => {
    await using client = await startClient();
    const { sandbox_id } = (
      await client.run("import os\nos.makedirs('folder')\nopen('latin', 'wb').write(b'gr\\xfc\\xdf')\nos.symlink('latin', 'link')")
    ).structured;
    const read = async (name: string) => await client.readResource(fileUri(sandbox_id, `/home/user/${name}`));
    await expect(read("folder")).rejects.toThrow(/directory.*list_directory/s);
    await expect(read("link")).rejects.toThrow(/link/);
    await expect(read("gone")).rejects.toMatchObject({ code: -32602 });
    await expect(client.readResource(fileUri(sandbox_id, "/etc/passwd"))).rejects.toThrow(/outside/);
    await expect(client.readResource(fileUri("sbx_of_another", "/home/user/x"))).rejects.toMatchObject({ code: -32602 });
    expect(await read("latin")).toMatchObject({
      mimeType: "application/octet-stream",
      blob: Buffer.from("gr\xfc\xdf", "latin1").toString("base64"),
    });
  });

  it("refuse a cursor that is none of theirs", async () => {
    const host = "sdk 2, 2025-11-25";
    await using client = await startClient(host);
    const resources = new ResourceHost(host, client);
    const cursor = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
    for (const odd of ["x", "", cursor([]), cursor(["sbx_of_another/home/user", null]), cursor(["notebooks", 1]), "A".repeat(200_000)])
      await expect(resources.page(odd), odd.slice(0, 50)).rejects.toThrow(/cursor/);
  });

  it("make no sandbox to be listed, completed or listened to", async () => {
    const host = "sdk 2, 2026-07-28";
    await using client = await startClient(host, ["--pool", "0"]);
    const resources = new ResourceHost(host, client);
    await resources.listen("kernelbox://sandboxes/sbx_x/files/home/user/a");
    expect(await resources.page()).toMatchObject({ resources: [] });
    expect(await resources.complete("sandbox_id", "")).toEqual([]);
    expect(await resources.complete("path", "home/user/")).toEqual([]);
    expect(await ourContainerInfos()).toEqual([]);
    // The sandbox and its first notebook are new in the list.
    await client.run("1");
    await resources.until("list", SOON_MS);
  });

  it("are subscribed to only where there can be one", async () => {
    const host = "sdk 1, 2025-11-25";
    await using client = await startClient(host);
    const resources = new ResourceHost(host, client);
    const { sandbox_id, execution_id, context_id } = (await client.run("1")).structured;
    for (const odd of [
      "file:///etc/passwd",
      "kernelbox://executions/exe_of_another/stdout",
      "kernelbox://contexts/ctx_of_another/notebook",
      fileUri("sbx_of_another", "/home/user/a"),
      fileUri(sandbox_id, "/etc/passwd"),
    ])
      await expect(resources.listen(odd), odd).rejects.toThrow();
    for (const own of [`kernelbox://executions/${execution_id}/stdout`, `kernelbox://contexts/${context_id}/notebook`])
      await resources.listen(own);
    for (let n = 0; n < LIMITS.subscriptions - 2; n++) await resources.listen(fileUri(sandbox_id, `/home/user/${n}`));
    await expect(resources.listen(fileUri(sandbox_id, "/home/user/more"))).rejects.toThrow(/Unsubscribe/);
    await resources.unlisten(fileUri(sandbox_id, "/home/user/0"));
    await resources.listen(fileUri(sandbox_id, "/home/user/more"));
  });

  it("of code that runs tell that there is more", async () => {
    const host = "sdk 2, 2026-07-28";
    await using client = await startClient(host);
    const resources = new ResourceHost(host, client);
    const { execution_id } = (
      await client.run("import time\nfor n in range(20):\n    print(n, flush=True)\n    time.sleep(0.1)", { background: true })
    ).structured;
    const stdout = `kernelbox://executions/${execution_id}/stdout`;
    await resources.listen(stdout);
    await resources.until(stdout, SOON_MS);
    await client.call("get_execution", { execution_id, wait_s: 20 });
    const told = resources.told.filter((one) => one === stdout).length;
    expect(told).toBeGreaterThan(1);
    expect(told).toBeLessThan(15);
    await resources.during(QUIET_MS);
    expect(await resources.during(QUIET_MS)).toEqual([]);
  });

  it("are not told of to a host of 2026 that did not ask", async () => {
    const host = "sdk 2, 2026-07-28";
    await using client = await startClient(host);
    const resources = new ResourceHost(host, client);
    await client.run("open('a', 'w').close()");
    expect(await resources.during(QUIET_MS)).toEqual([]);
    expect(client.stderr()).not.toContain("changes of files are told");
  });

  it("end with their sandbox: the list has changed, and nothing more is said of them", async () => {
    const host = "sdk 1, 2025-11-25";
    await using client = await startClient(host);
    const resources = new ResourceHost(host, client);
    const { sandbox_id } = (await client.run("open('a', 'w').close()")).structured;
    const watched = fileUri(sandbox_id, "/home/user/a");
    await resources.listen(watched);
    await resources.during(QUIET_MS);
    for (const { Id } of await ourContainerInfos()) await docker.getContainer(Id).kill();
    expect(await resources.until("list", 5_000)).toEqual(["list"]);
    expect((await resources.page()).resources.filter(({ uri }) => uri.includes(sandbox_id))).toEqual([]);
    await client.run("1");
    await resources.until("list", SOON_MS);
    expect(await resources.during(QUIET_MS)).not.toContain(watched);
  });

  it("are not followed for a host that takes its word back at once", async () => {
    await using client = await startClient("sdk 2, 2026-07-28", ["--log-level", "debug"]);
    await client.run("1");
    const abort = new AbortController();
    const listening = client.client.listen({ resourcesListChanged: true }, { signal: abort.signal }).catch(() => {});
    abort.abort();
    await listening;
    const subscription = await client.client.listen({ resourcesListChanged: true });
    await eventually(
      async () => client.stderr(),
      (log) => log.includes("changes of files are told"),
      SOON_MS,
    );
    await subscription.close();
    await eventually(
      async () => client.stderr(),
      (log) => log.includes("changes of files are told no more"),
      SOON_MS,
    );
  });

  it("are told of also where the system has no inotify left", async () => {
    const host = "sdk 2, 2026-07-28";
    await using client = await startClient(host);
    const resources = new ResourceHost(host, client);
    const { structured } = await client.run(`
import ctypes, os
libc = ctypes.CDLL(None)
held = []
while (fd := libc.inotify_init1(0)) >= 0: held.append(fd)
open('a', 'w').close()
len(held)`);
    expect(Number(structured.result)).toBeGreaterThan(0);
    const watched = fileUri(structured.sandbox_id, "/home/user/a");
    await resources.listen(watched);
    expect(client.stderr()).toContain('"via":"scan"');
    await client.run("open('a', 'w').write('1')");
    expect(await resources.until(watched, SOON_MS)).toEqual([watched]);
    await client.run("open('b', 'w').write('1')");
    expect(await resources.until("list", SOON_MS)).not.toContain(watched);
    await client.run("for fd in held: os.close(fd)");
  });

  it("end with the connection", async () => {
    const client = await startClient("sdk 1, 2025-11-25");
    const resources = new ResourceHost("sdk 1, 2025-11-25", client);
    const { sandbox_id } = (await client.run("1")).structured;
    await resources.listen(fileUri(sandbox_id, "/home/user/a"));
    const begun = Date.now();
    await client.close();
    expect(Date.now() - begun).toBeLessThan(2_000);
    expect(() => process.kill(client.pid, 0)).toThrow();
  });
});
