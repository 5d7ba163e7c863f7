import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { packageIndexes } from "../../src/package-indexes.ts";

const none = async () => "";
const A = "https://me:p%40ss@a.example/simple";
const B = "http://b.example/simple";

test.for(["UV_DEFAULT_INDEX", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"])(
  "%s is passed on as it is, and not where it is empty",
  async (name) => {
    expect(await packageIndexes({ [name]: A, UNRELATED: "x" }, none)).toEqual({ [name]: A });
    expect(await packageIndexes({ [name]: "" }, none)).toEqual({});
  },
);

test("proxies are often written small, and the large ones win; nothing else has a small form", async () => {
  expect(await packageIndexes({ https_proxy: A, pip_index_url: B }, none)).toEqual({ HTTPS_PROXY: A });
  expect(await packageIndexes({ https_proxy: A, HTTPS_PROXY: B }, none)).toEqual({ HTTPS_PROXY: B });
});

test("where the environment names no index, pip's own configuration does", async () => {
  const listing = [
    "global.index-url='https://all.example/simple'",
    `install.index-url='${A}'`,
    `global.extra-index-url='\\n${B}\\nhttps://c.example/simple'`,
    ":env:.index-url='https://env.example/'",
    "global.timeout='60'",
    "nonsense",
  ].join("\n");
  const found = { PIP_INDEX_URL: A, PIP_EXTRA_INDEX_URL: `${B} https://c.example/simple` };
  expect(await packageIndexes({}, async () => listing)).toEqual(found);
  expect(await packageIndexes({ PIP_EXTRA_INDEX_URL: A }, async () => listing)).toEqual({ ...found, PIP_EXTRA_INDEX_URL: A });
  expect(await packageIndexes({ PIP_INDEX_URL: B }, async () => listing)).toEqual({ PIP_INDEX_URL: B });
  expect(await packageIndexes({ UV_DEFAULT_INDEX: B }, async () => listing)).toEqual({ UV_DEFAULT_INDEX: B });
});

test("a module of the working directory is not taken for pip: an agent may write there", async () => {
  const dir = await mkdtemp(join(tmpdir(), "kernelbox-"));
  await writeFile(join(dir, "pip.py"), `open(${JSON.stringify(join(dir, "ran"))}, "w")\nprint("global.index-url='https://evil.example/'")`);
  const before = process.cwd();
  process.chdir(dir);
  try {
    expect(JSON.stringify(await packageIndexes({}))).not.toContain("evil");
    expect(await readdir(dir)).toEqual(["pip.py"]);
  } finally {
    process.chdir(before);
    await rm(dir, { recursive: true });
  }
});

test("folders and loopback addresses of the host are not there in a build", async () => {
  const listing = `global.index-url='http://localhost:3141/root'\nglobal.extra-index-url='file:///srv/wheels http://127.0.0.1/x http://[::1]/ ${B}'`;
  expect(await packageIndexes({}, async () => listing)).toEqual({ PIP_EXTRA_INDEX_URL: B });
});

test("pip is asked by its command; without pip, or with one that fails, there is nothing", async () => {
  const folder = await mkdtemp(join(tmpdir(), "kernelbox-"));
  const python = async (source: string) => await writeFile(join(folder, "python3"), `#!/bin/sh\n${source}\n`, { mode: 0o755 });
  vi.stubEnv("PATH", folder);
  try {
    expect(await packageIndexes({})).toEqual({});
    await python(`[ "$*" = "-m pip config list" ] && echo "global.index-url='${A}'"`);
    expect(await packageIndexes({})).toEqual({ PIP_INDEX_URL: A });
    await python("echo 'No module named pip' >&2; exit 1");
    expect(await packageIndexes({})).toEqual({});
  } finally {
    vi.unstubAllEnvs();
    await rm(folder, { recursive: true });
  }
});
