import { execFile } from "node:child_process";
import { cp, mkdtemp, readdir, readFile, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, normalize, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import * as z from "zod";
import { contextFiles } from "../../src/engines/docker/build-context.ts";
import { toolsOf } from "../../src/tools/index.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const read = async (path: string) => await readFile(join(ROOT, path), "utf8");

/** Paths of what npm would publish, from a copy, since packing builds. */
let packed: string[];
let copy: string;
beforeAll(async () => {
  copy = await mkdtemp(join(tmpdir(), "kernelbox-pack-"));
  for (const name of await readdir(ROOT)) {
    if (!["node_modules", "dist", "out", ".git"].includes(name)) await cp(join(ROOT, name), join(copy, name), { recursive: true });
  }
  await symlink(join(ROOT, "node_modules"), join(copy, "node_modules"));
  const { stdout } = await promisify(execFile)("npm", ["pack", "--dry-run", "--json"], { cwd: copy });
  // The build's own words may come first.
  const report = z
    .tuple([z.object({ files: z.array(z.object({ path: z.string() })) })])
    .parse(JSON.parse(stdout.slice(stdout.indexOf("[\n"))));
  packed = report[0].files.map(({ path }) => path);
}, 60_000);
afterAll(async () => await rm(copy, { recursive: true, force: true }));

describe("the package", () => {
  it("is built before it is packed, and its program is in it", () => {
    expect(packed).toContain("dist/main.js");
    expect(packed.filter((path) => path.startsWith("dist/")).length).toBeGreaterThan(50);
  });

  it("has all that the image is built from, and what makes a base image", async () => {
    const needed = (await contextFiles({ root: ROOT, hostCerts: "/nowhere" }))
      .map(({ path }) => path)
      .filter((path) => !path.endsWith(".crt"));
    expect(needed).toEqual(expect.arrayContaining(["Dockerfile", "certs/.gitkeep", "sandbox/kernelbox/supervisor.py"]));
    expect(packed).toEqual(expect.arrayContaining([...needed, "scripts/base-image.sh"]));
  });

  it("has no test, no source and nobody's certificates", () => {
    const odd = packed.filter((path) => /(^|\/)(tests?|src|__pycache__)\//.test(path) || /\.(crt|pyc)$/.test(path));
    expect(odd).toEqual([]);
  });

  it("has what its documents link to", async () => {
    const links: string[] = [];
    for (const document of packed.filter((path) => path.endsWith(".md"))) {
      for (const [, target = ""] of (await read(document)).matchAll(/\]\((?!https?:)([^)#\s]+)/g))
        links.push(normalize(join(dirname(document), target)));
    }
    expect(links).toEqual(expect.arrayContaining(["docs/errors.md", "docs/decisions", "ARCHITECTURE.md"]));
    expect(links.filter((link) => !packed.some((path) => path === link || path.startsWith(`${link}/`)))).toEqual([]);
  });
});

it("the manifest says of the server what the server says", async () => {
  const manifest = JSON.parse(await read("manifest.json"));
  const { name, version, license, engines } = JSON.parse(await read("package.json"));
  expect(manifest).toMatchObject({ name, version, license, compatibility: { runtimes: { node: engines.node } } });
  expect(manifest.tools.map((tool: { name: string }) => tool.name)).toEqual(toolsOf(["core"]).map((tool) => tool.name));
});

it("the decisions have one form of heading", async () => {
  const folder = join(ROOT, "docs/decisions");
  for (const name of await readdir(folder))
    expect(await read(`docs/decisions/${name}`), name).toMatch(new RegExp(`^# ${name.slice(0, 4)}: \\S`));
});
