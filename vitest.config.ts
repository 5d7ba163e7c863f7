import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** A container start, an image look-up and a kernel start fit into this with a machine that is busy. */
const SLOW_MS = 120_000;
/** Property tests of many cases do, beside tests of containers. */
const QUICK_MS = 30_000;
/** What a test waits for without a measure of its own comes within this, also on a machine that is busy; one second is the library's. */
const POLL_MS = 20_000;

const project = (name: string, include: string[], slow: boolean, exclude: string[] = []) => ({
  test: {
    name,
    include,
    exclude,
    expect: { poll: { timeout: POLL_MS } },
    // What is quick starts nothing that outlives its file, so its files can share a process and what it has loaded.
    isolate: slow,
    testTimeout: slow ? SLOW_MS : QUICK_MS,
    hookTimeout: slow ? SLOW_MS : QUICK_MS,
  },
});

/** The longest files: one that began last would run alone at the end. */
const FIRST = ["sandbox/supervisor", "e2e/pool", "e2e/resources", "e2e/executions", "sandbox/channel", "e2e/languages"];

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const place = ({ moduleId }: TestSpecification) => {
      const at = FIRST.findIndex((name) => moduleId.endsWith(`test/${name}.test.ts`));
      return at === -1 ? FIRST.length : at;
    };
    return [...files].sort((a, b) => place(a) - place(b));
  }
}

export default defineConfig({
  test: {
    // Tests mostly wait for containers, which share two cores; with three at once those that measure time fail.
    maxWorkers: 2,
    sequence: { sequencer: LongestFirst },
    projects: [
      project("unit", ["test/unit/**/*.test.ts", "test/architecture.test.ts"], false, ["test/unit/setup/**"]),
      // The scripts, on made-up machines: without Docker too, but half a minute.
      project("setup", ["test/unit/setup/**/*.test.ts"], true),
      project("contract", ["test/contract/**/*.test.ts"], true),
      project("sandbox", ["test/sandbox/**/*.test.ts"], true),
      project("e2e", ["test/e2e/**/*.test.ts"], true),
      project("faults", ["test/faults/**/*.test.ts"], true),
      project("security", ["test/security/**/*.test.ts"], true),
    ],
  },
});
