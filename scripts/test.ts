import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/**
 * Runs every test, the supervisor's own in Python and those here, and ends with one line that counts them: `N passed, N failed, N skipped`.
 */

interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

const PYTHON_MS = 8 * 60_000;

async function main(): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), "kernelbox-test-"));
  const total: Counts = { passed: 0, failed: 0, skipped: 0 };
  try {
    add(total, await python());
    add(total, await vitest(join(folder, "results.json")));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  process.stdout.write(`\n${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped\n`);
  return total.failed === 0 && total.passed > 0 ? 0 : 1;
}

async function vitest(report: string): Promise<Counts> {
  const vitestMain = join(import.meta.dirname, "../node_modules/vitest/vitest.mjs");
  const { code } = await run(process.execPath, [vitestMain, "run", "--reporter=default", "--reporter=json", `--outputFile=${report}`], {});
  const results = JSON.parse(await readFile(report, "utf8")) as {
    numPassedTests: number;
    numFailedTests: number;
    numPendingTests: number;
    numTodoTests: number;
    numFailedTestSuites: number;
  };
  const failed = results.numFailedTests;
  // A file that could not even be loaded, or a leak that its guard found after the last test, is no failed test of vitest's.
  const failedOtherwise = failed === 0 && code !== 0 ? Math.max(1, results.numFailedTestSuites) : 0;
  return { passed: results.numPassedTests, failed: failed + failedOtherwise, skipped: results.numPendingTests + results.numTodoTests };
}

async function python(): Promise<Counts> {
  const { code, output } = await run("python3", ["-m", "unittest", "discover", "-s", "sandbox/tests", "-t", "sandbox"], {
    timeout: PYTHON_MS,
  });
  const ran = Number(/^Ran (\d+) tests?/m.exec(output)?.[1] ?? 0);
  const count = (word: string) => Number(new RegExp(`${word}=(\\d+)`).exec(output)?.[1] ?? 0);
  const failed = count("failures") + count("errors");
  const skipped = count("skipped");
  if (ran === 0 || (code !== 0 && failed === 0)) return { passed: 0, failed: 1, skipped: 0 };
  return { passed: Math.max(0, ran - failed - skipped), failed, skipped };
}

function run(command: string, args: string[], options: { timeout?: number }): Promise<{ code: number; output: string }> {
  return new Promise((resolve) => {
    const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], ...options });
    let output = "";
    for (const [stream, to] of [
      [child.stdout, process.stdout],
      [child.stderr, process.stderr],
    ] as const) {
      stream.on("data", (chunk: Buffer) => {
        output = (output + String(chunk)).slice(-200_000);
        to.write(chunk);
      });
    }
    child.on("error", (error) => resolve({ code: 1, output: String(error) }));
    child.on("close", (code) => resolve({ code: code ?? 1, output }));
  });
}

function add(total: Counts, more: Counts): void {
  total.passed += more.passed;
  total.failed += more.failed;
  total.skipped += more.skipped;
}

process.exitCode = await main();
