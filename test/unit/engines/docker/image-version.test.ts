import { cp, mkdir, mkdtemp, rm, symlink, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { extract } from "tar-stream";
import { expect, test } from "vitest";
import { PROTOCOL_VERSION } from "../../../../src/channel/frames.ts";
import { contextArchive, contextFiles } from "../../../../src/engines/docker/build-context.ts";
import { labelledInfo } from "../../../../src/engines/docker/image-labels.ts";
import { contentVersion, IMAGE_PROTOCOL } from "../../../../src/engines/docker/image-version.ts";
import { createDockerEngine } from "../../../../src/engines/docker/index.ts";

async function folder(): Promise<AsyncDisposable & { path: string }> {
  const path = await mkdtemp(join(tmpdir(), "kernelbox-"));
  return { path, [Symbol.asyncDispose]: async () => await rm(path, { recursive: true, force: true }) };
}

async function checkout(root: string): Promise<void> {
  const files = {
    Dockerfile: "FROM x\n",
    ".dockerignore": "*\n",
    "sandbox/kernelbox/b.py": "b",
    "sandbox/kernelbox/a.py": "a",
    "sandbox/run.sh": "#!/bin/sh\n",
    "certs/.gitkeep": "",
    "certs/site.crt": "PEM",
  };
  for (const [path, text] of Object.entries(files)) {
    await mkdir(join(root, path, ".."), { recursive: true });
    await writeFile(join(root, path), text);
  }
}

async function versionOf(root: string, hostCerts = "/nowhere"): Promise<string> {
  return contentVersion(await contextFiles({ root, hostCerts }));
}

test("the version is the same whatever the path, the times, caches and tests of a checkout", async () => {
  await using temporary = await folder();
  const one = join(temporary.path, "one");
  const other = join(temporary.path, "some/where/else");
  await checkout(one);
  await cp(one, other, { recursive: true });
  await utimes(join(other, "Dockerfile"), new Date(0), new Date(0));
  await mkdir(join(other, "sandbox/tests"));
  await writeFile(join(other, "sandbox/tests/test_a.py"), "test");
  await writeFile(join(other, "sandbox/pyproject.toml"), "[tool.ruff]");
  await mkdir(join(other, "sandbox/kernelbox/__pycache__"));
  await writeFile(join(other, "sandbox/kernelbox/__pycache__/a.pyc"), "cache");
  await mkdir(join(other, "sandbox/.pytest_cache"));
  await writeFile(join(other, "sandbox/.pytest_cache/x"), "cache");
  await writeFile(join(other, "certs/notes.txt"), "not a certificate");
  expect(await versionOf(other)).toBe(await versionOf(one));
  expect(await versionOf(one)).toMatch(/^[0-9a-f]{12}$/);
});

test.for(["Dockerfile", ".dockerignore", "sandbox/kernelbox/a.py", "sandbox/kernelbox/new.py", "certs/site.crt", "certs/new.crt"])(
  "the version changes with %s",
  async (path) => {
    await using temporary = await folder();
    await checkout(temporary.path);
    const before = await versionOf(temporary.path);
    await writeFile(join(temporary.path, path), "changed");
    expect(await versionOf(temporary.path)).not.toBe(before);
  },
);

test("the host's own authorities count, also as links, and meet the checkout's by name", async () => {
  await using temporary = await folder();
  const root = join(temporary.path, "root");
  const host = join(temporary.path, "host");
  await checkout(root);
  await mkdir(join(host, "deep"), { recursive: true });
  const before = await versionOf(root, host);
  await writeFile(join(host, "site.crt"), "PEM");
  expect(await versionOf(root, host)).toBe(before);
  await writeFile(join(temporary.path, "real.pem"), "PEM of the host");
  await symlink(join(temporary.path, "real.pem"), join(host, "deep/linked.crt"));
  expect(await versionOf(root, host)).not.toBe(before);
  const paths = (await contextFiles({ root, hostCerts: host })).map(({ path }) => path);
  expect(paths).toContain("certs/deep-linked.crt");
  expect(contentVersion([], 1)).not.toBe(contentVersion([], 2));
});

test("the archive holds what was counted, with fixed times, and only scripts may be run", async () => {
  await using temporary = await folder();
  await checkout(temporary.path);
  const files = await contextFiles({ root: temporary.path, hostCerts: "/nowhere" });
  const entries: { name: string; mode: number | undefined; time: number | undefined }[] = [];
  for await (const entry of contextArchive(files).pipe(extract())) {
    entries.push({ name: entry.header.name, mode: entry.header.mode, time: entry.header.mtime?.getTime() });
    entry.resume();
  }
  expect(entries.map(({ name }) => name)).toEqual(files.map(({ path }) => path));
  expect(entries.map(({ name }) => name)).toEqual([
    ".dockerignore",
    "Dockerfile",
    "certs/.gitkeep",
    "certs/site.crt",
    "sandbox/kernelbox/a.py",
    "sandbox/kernelbox/b.py",
    "sandbox/run.sh",
  ]);
  expect(entries.every(({ time }) => time === 0)).toBe(true);
  expect(entries.filter(({ mode }) => mode === 0o755).map(({ name }) => name)).toEqual(["sandbox/run.sh"]);
});

test("the image's protocol is the server's", () => {
  expect(IMAGE_PROTOCOL).toBe(PROTOCOL_VERSION);
});

test("a flavour's reference needs no engine", async () => {
  const engine = createDockerEngine({ log: pino({ level: "silent" }), endpoint: "unix:///nowhere.sock" });
  expect(await engine.images.refOf("core")).toMatch(/^kernelbox\/sandbox:core-[0-9a-f]{12}$/);
  expect((await engine.images.refOf("full")).replace("full", "core")).toBe(await engine.images.refOf("core"));
});

test("labels that are missing or malformed mean protocol 0 and no language", () => {
  const nothing = { flavour: "", protocol: 0, version: "", languages: [] };
  expect(labelledInfo(undefined)).toEqual(nothing);
  expect(labelledInfo(null)).toEqual(nothing);
  for (const protocol of ["", "-1", "1.5", "1e3", "one", " 1", "99999999999"]) {
    expect(labelledInfo({ "kernelbox.protocol": protocol }).protocol).toBe(0);
  }
  const labels = {
    "kernelbox.protocol": "1",
    "kernelbox.flavour": "full",
    "kernelbox.version": "abc",
    "kernelbox.languages": "python, bash,,<b>",
  };
  expect(labelledInfo(labels)).toEqual({ flavour: "full", protocol: 1, version: "abc", languages: ["python", "bash"] });
});
