import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as z from "zod";

/**
 * Checks types and form, runs every test, the supervisor's own among them, and ends with one line that counts them:
 * `N passed, N failed, N skipped`. A check counts as one. Arguments go to vitest.
 */

const VITEST = join(import.meta.dirname, "../node_modules/vitest/vitest.mjs");
const CHECKS = ["typecheck", "lint", "check:sandbox"];
/** What a check ends with that this machine cannot make. */
const SKIPPED = 77;

interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

const reportSchema = z.object({
  numPassedTests: z.number(),
  numFailedTests: z.number(),
  numPendingTests: z.number(),
  numTodoTests: z.number(),
  numFailedTestSuites: z.number(),
});

async function run(command: string, args: string[]): Promise<number> {
  const child = spawn(command, args, { stdio: ["ignore", "inherit", "inherit"] });
  const code = await once(child, "close").then(
    ([ended]) => ended,
    () => 1,
  );
  return code ?? 1;
}

async function check(name: string): Promise<Counts> {
  const code = await run("npm", ["run", "--silent", name]);
  const outcome = code === 0 ? "passed" : code === SKIPPED ? "skipped" : "failed";
  process.stdout.write(`${outcome}: npm run ${name}\n`);
  return { passed: 0, failed: 0, skipped: 0, [outcome]: 1 };
}

async function tests(args: string[]): Promise<Counts> {
  const folder = await mkdtemp(join(tmpdir(), "kernelbox-test-"));
  try {
    const path = join(folder, "report.json");
    const reporters = ["--reporter=default", "--reporter=json", `--outputFile=${path}`];
    const code = await run(process.execPath, [VITEST, "run", ...reporters, ...args]);
    const report = reportSchema.safeParse(JSON.parse(await readFile(path, "utf8").catch(() => "null")));
    if (!report.success) {
      process.stdout.write(`\nvitest ended with exit code ${code} and without a report.\n`);
      return { passed: 0, failed: 1, skipped: 0 };
    }
    const counts = report.data;
    // A file that could not be loaded, or a leak that its guard found after the last test, is no failed test of vitest's own count.
    const isHidden = counts.numFailedTests === 0 && (code !== 0 || counts.numPassedTests === 0);
    const failed = isHidden ? Math.max(1, counts.numFailedTestSuites) : counts.numFailedTests;
    return { passed: counts.numPassedTests, failed, skipped: counts.numPendingTests + counts.numTodoTests };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

let total: Counts = { passed: 0, failed: 0, skipped: 0 };
function add({ passed, failed, skipped }: Counts): void {
  total = { passed: total.passed + passed, failed: total.failed + failed, skipped: total.skipped + skipped };
}

try {
  for (const name of CHECKS) add(await check(name));
  add(await tests(process.argv.slice(2)));
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
  add({ passed: 0, failed: 1, skipped: 0 });
}
const seconds = Math.round(performance.now() / 1_000 + Number(process.env.KERNELBOX_SETUP_SECONDS ?? 0));
process.stdout.write(`\nEverything took ${seconds} s.\n${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped\n`);
process.exitCode = total.failed === 0 ? 0 : 1;
