import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { createLog } from "../../../src/log.ts";
import { Bindings } from "../../../src/store/bindings.ts";

const log = createLog("silent");

it("says whose each sandbox is, privately and whole, until it has ended", async () => {
  const dir = await mkdtemp(join(tmpdir(), "kernelbox-bindings-"));
  const folder = join(dir, "bindings");
  const bindings = new Bindings(folder, log);
  await Promise.all(["sbx_a", "sbx_b"].map((sandboxId, n) => bindings.add({ sandboxId, principal: `p${n}`, containerId: `c${n}` })));
  expect((await readdir(folder)).sort()).toEqual(["sbx_a.json", "sbx_b.json"]);
  const record = JSON.parse(await readFile(join(folder, "sbx_a.json"), "utf8"));
  expect(record).toEqual({ sandbox_id: "sbx_a", principal: "p0", container_id: "c0", claimed_at: expect.stringMatching(/^\d{4}-.*Z$/) });
  expect((await stat(join(folder, "sbx_a.json"))).mode & 0o777).toBe(0o600);
  // Ended while it was being written: nothing stays.
  const late = bindings.add({ sandboxId: "sbx_c", principal: "p", containerId: "c" });
  bindings.remove("sbx_c");
  bindings.remove("sbx_a");
  await late;
  await bindings.add({ sandboxId: "sbx_d", principal: "p", containerId: "c" });
  expect((await readdir(folder)).sort()).toEqual(["sbx_b.json", "sbx_d.json"]);
  await rm(dir, { recursive: true });
});

it("takes nothing down where the disk refuses", async () => {
  const dir = await mkdtemp(join(tmpdir(), "kernelbox-bindings-"));
  await writeFile(join(dir, "file"), "");
  await new Bindings(join(dir, "file"), log).add({ sandboxId: "sbx_a", principal: "p", containerId: "c" });
  expect(await readdir(dir)).toEqual(["file"]);
  await rm(dir, { recursive: true });
});
