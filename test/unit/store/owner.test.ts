import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { chown, mkdir, mkdtemp, readdir, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { Owner } from "../../../src/store/owner.ts";

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "kb-own-"));
});
afterEach(async () => await rm(root, { recursive: true, force: true }));

it("lives as long as its process, and its folder is private and goes with it", async () => {
  const [a, b] = [await Owner.start(root), await Owner.start(root)];
  expect((await stat(a.dir)).mode & 0o777).toBe(0o700);
  expect(await a.liveness(b.id)).toBe("alive");
  expect(await a.liveness("0123456789abcdef")).toBe("unknown");
  expect(await a.liveness("../../etc")).toBe("unknown");
  await b.close();
  expect(existsSync(b.dir)).toBe(false);
  await a.close();
});

it("is known to be dead after SIGKILL, and what it left is swept", async () => {
  const owner = await Owner.start(root);
  const source = join(import.meta.dirname, "../../../src/store/owner.ts");
  const script = `const { Owner } = await import(${JSON.stringify(source)}); const o = await Owner.start(${JSON.stringify(root)}); console.log(o.id); setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ["--import", "tsx", "--input-type=module", "-e", script], { stdio: ["ignore", "pipe", "inherit"] });
  const [line] = await once(child.stdout, "data");
  const id = String(line).trim();
  expect(await owner.liveness(id)).toBe("alive");
  expect(await owner.sweep()).toBe(0);
  child.kill("SIGKILL");
  await once(child, "exit");
  // One that was made a moment ago may be about to listen.
  expect(await owner.liveness(id)).toMatch(/unknown|dead/);
  await new Promise((resolve) => setTimeout(resolve, 2_500));
  expect(await owner.liveness(id)).toBe("dead");
  expect(await owner.sweep()).toBe(1);
  expect(await readdir(root)).toEqual([owner.id]);
  await owner.close();
});

it("calls only one dead whose socket is not there or not listened on", async () => {
  const owner = await Owner.start(root);
  const left = async (id: string, more: (dir: string) => Promise<void>) => {
    await mkdir(join(root, id));
    await more(join(root, id));
  };
  await left("00000000000000aa", async () => {});
  // The system's answer is neither "not there" nor "nobody listens".
  await left("00000000000000bb", (dir) => symlink("alive", join(dir, "alive")));
  await new Promise((resolve) => setTimeout(resolve, 2_500));
  expect(await owner.liveness("00000000000000aa")).toBe("dead");
  expect(await owner.liveness("00000000000000bb")).toBe("unknown");
  expect(await owner.sweep()).toBe(1);
  await owner.close();
});

it("is not kept in a folder that somebody else put there", async () => {
  const refusal = { code: "permission_denied", hint: expect.stringContaining("TMPDIR") };
  const link = join(root, "link");
  await mkdir(join(root, "target"));
  await symlink(join(root, "target"), link);
  await expect(Owner.start(link)).rejects.toMatchObject(refusal);
  await writeFile(join(root, "file"), "");
  await expect(Owner.start(join(root, "file"))).rejects.toMatchObject(refusal);
  // Only root can make something another's.
  if (process.getuid?.() !== 0) return;
  await mkdir(join(root, "foreign"));
  await chown(join(root, "foreign"), 12_345, 12_345);
  await expect(Owner.start(join(root, "foreign"))).rejects.toMatchObject(refusal);
  expect(await readdir(join(root, "target"))).toEqual([]);
});
