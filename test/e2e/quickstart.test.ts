import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, expect, it } from "vitest";
import { TEST_IMAGE } from "../helpers/client.ts";
import { guardAgainstLeaks } from "../helpers/containers.ts";

guardAgainstLeaks();

let out: string;
beforeEach(async () => {
  out = await mkdtemp(join(tmpdir(), "kernelbox-quickstart-"));
});
afterEach(async () => await rm(out, { recursive: true, force: true }));

/** Ends only when the server that it started has ended as well. */
async function quickstart(...flags: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const args = ["--import", "tsx", "examples/quickstart.ts", ...flags];
  const options = { timeout: 100_000, env: { ...process.env, KERNELBOX_QUICKSTART_OUT: out } };
  return await promisify(execFile)(process.execPath, args, options).then(
    ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
    (error) => error,
  );
}

it("works through its data set, and leaves a chart and a table", async () => {
  const { code, stdout, stderr } = await quickstart("--image", TEST_IMAGE);
  expect(stderr).toBe("");
  expect(code).toBe(0);
  expect(stdout).toMatch(/178 wines, 13 measurements/);
  expect(stdout).toMatch(/five-fold accuracy 9\d\.\d%/);
  expect((await readdir(out)).sort()).toEqual(["chart.png", "wine_clean.csv"]);
  const chart = await readFile(join(out, "chart.png"));
  expect(chart.subarray(0, 8).toString("latin1")).toBe("\x89PNG\r\n\x1a\n");
  const [width, height] = [chart.readUInt32BE(16), chart.readUInt32BE(20)];
  // Two square plots side by side, 11 by 4.6 inches at 110 dpi and a margin.
  expect(Math.abs(width - 1_210)).toBeLessThan(30);
  expect(Math.abs(height - 506)).toBeLessThan(30);
  expect(chart.length).toBeGreaterThan(20_000);
  const rows = (await readFile(join(out, "wine_clean.csv"), "utf8")).trimEnd().split("\n");
  expect(rows.length).toBeGreaterThan(150);
  expect(rows.length).toBeLessThan(178);
  expect(new Set(rows.map((row) => row.split(",").length))).toEqual(new Set([15]));
  const growers = rows.slice(1).map((row) => row.split(",").slice(-2));
  const right = growers.filter(([grower, predicted]) => grower === predicted).length;
  expect(right / growers.length).toBeGreaterThan(0.9);
});

it.each([
  ["a server that does not start", ["--memory", "much"], /connect|closed/i],
  ["an engine that is not there", ["--docker-host", "unix:///does/not/exist.sock"], /Docker engine does not answer/],
])("says why it did not get through, ends, and leaves no picture: %s", async (_, flags, why) => {
  const startedAt = performance.now();
  const { code, stderr } = await quickstart(...flags);
  expect(stderr).toMatch(/The quickstart did not get through: /);
  expect(stderr).toMatch(why);
  expect(code).toBe(1);
  expect(await readdir(out)).toEqual([]);
  expect(performance.now() - startedAt).toBeLessThan(20_000);
});
