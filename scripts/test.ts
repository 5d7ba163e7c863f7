import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as z from "zod";

/** Runs every test, the supervisor's own among them, and ends with one line that counts them: `N passed, N failed, N skipped`. */

const VITEST = join(import.meta.dirname, "../node_modules/vitest/vitest.mjs");

const reportSchema = z.object({
  numPassedTests: z.number(),
  numFailedTests: z.number(),
  numPendingTests: z.number(),
  numTodoTests: z.number(),
  numFailedTestSuites: z.number(),
});

async function main(): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), "kernelbox-test-"));
  try {
    const report = join(folder, "report.json");
    const args = [VITEST, "run", "--reporter=default", "--reporter=json", `--outputFile=${report}`, ...process.argv.slice(2)];
    const vitest = spawn(process.execPath, args, { stdio: ["ignore", "inherit", "inherit"] });
    const [code] = await once(vitest, "close");
    const counts = reportSchema.parse(JSON.parse(await readFile(report, "utf8")));
    // A file that could not be loaded, or a leak that its guard found after the last test, is no failed test of vitest's own count.
    const failed = counts.numFailedTests === 0 && code !== 0 ? Math.max(1, counts.numFailedTestSuites) : counts.numFailedTests;
    const skipped = counts.numPendingTests + counts.numTodoTests;
    process.stdout.write(`\n${counts.numPassedTests} passed, ${failed} failed, ${skipped} skipped\n`);
    return failed === 0 && counts.numPassedTests > 0 ? 0 : 1;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

process.exitCode = await main();
