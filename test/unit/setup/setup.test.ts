import { readFileSync } from "node:fs";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { built, type Machine, machine } from "./machine.ts";

let made: Awaited<ReturnType<typeof built>>;
beforeAll(async () => {
  made = await built();
}, 60_000);
afterAll(async () => await made[Symbol.asyncDispose]());

const SLOW = { timeout: 30_000 };
const LAST_LINE = /\n(\d+) passed, (\d+) failed, (\d+) skipped\n$/;

describe("scripts/setup.sh says which step failed and what to do next", SLOW, () => {
  const failing: [string, (computer: Machine) => Promise<void>, RegExp][] = [
    ["no Node", async (computer) => await computer.without("node"), /Node\.js is missing\n {2}next: install Node\.js 20\.19/],
    ["no npm", async (computer) => await computer.without("npm"), /npm is missing.*\n {2}next: install npm/],
    [
      "an old Node",
      async (computer) => await computer.program("node", "#!/bin/sh\necho 20.18.9 linux x64\n"),
      /Node\.js 20\.18\.9 is too old\n {2}next: install Node\.js 20\.19/,
    ],
    [
      "a registry that is not reached",
      async (computer) => await computer.program("npm", "#!/bin/sh\necho network >&2\nexit 1\n"),
      /network\n\nsetup: failed: npm ci ended with an error \(above\)\n {2}next: check that your npm registry is reached/,
    ],
    [
      "a build that fails",
      async (computer) => {
        await rm(computer.path("node_modules/.kernelbox-built"));
        await computer.program("npm", '#!/bin/sh\n[ "$1" = ci ]\n');
      },
      /failed: the build ended with an error \(above\)\n {2}next: npm run typecheck/,
    ],
    [
      "a command without a word of ours",
      async (computer) => await rm(computer.path("package-lock.json")),
      /package-lock\.json.*\n\nsetup: failed: the step "npm dependencies" ended with exit code 1 .*\n {2}next: mend what is said above/,
    ],
    [
      "a folder that cannot be made",
      async (computer) => {
        await rm(computer.path("cache"), { recursive: true });
        await writeFile(computer.path("cache"), "a file");
      },
      /the folder \S+ cannot be made\n {2}next: set XDG_CACHE_HOME/,
    ],
  ];
  it.for(failing)("%s", async ([, spoil, words]) => {
    await using computer = await machine(made.dist);
    await spoil(computer);
    const { code, said } = await computer.run("scripts/setup.sh");
    expect(said).toMatch(words);
    expect(said.match(/failed:/g)).toHaveLength(1);
    expect(code).toBeGreaterThan(0);
  });
});

describe("npm test always ends with one line that counts", SLOW, () => {
  it("is one script, and the only one that .ci/run calls", () => {
    const root = resolve(import.meta.dirname, "../../..");
    expect(JSON.parse(readFileSync(join(root, "package.json"), "utf8")).scripts.test).toBe("bash scripts/test.sh");
    expect(readFileSync(join(root, ".ci/run"), "utf8")).toMatch(/^exec npm test$/m);
  });

  it("where the setup fails", async () => {
    await using computer = await machine(made.dist);
    await computer.without("node");
    const { code, said } = await computer.run("scripts/test.sh");
    expect(said).toMatch(/next: install Node\.js/);
    expect(LAST_LINE.exec(said)?.slice(1)).toEqual(["0", "1", "0"]);
    expect(code).toBe(1);
  });

  /** A vitest that does as it is told; npm's checks succeed or fail. */
  async function tested(vitest: string, npm = "exit 0", script = "only-tests.sh") {
    await using computer = await machine(made.dist);
    await computer.program("npm", `#!/bin/sh\n${npm}\n`);
    await computer.program("id", "#!/bin/sh\necho 0\n");
    await writeFile(computer.path("only-tests.sh"), "exec node --import tsx scripts/test.ts");
    await rm(computer.path("node_modules/vitest"));
    await mkdir(computer.path("node_modules/vitest"));
    await writeFile(
      computer.path("node_modules/vitest/vitest.mjs"),
      `import { writeFileSync } from "node:fs";
       const report = (counts) => writeFileSync(process.argv.find((word) => word.startsWith("--outputFile=")).slice(13), JSON.stringify(counts));
       ${vitest}`,
    );
    const { code, said } = await computer.run(script);
    return { code, said, counts: LAST_LINE.exec(said)?.slice(1).map(Number) };
  }
  const counts = (passed: number, failed: number, suites = 0) =>
    `report({ numPassedTests: ${passed}, numFailedTests: ${failed}, numPendingTests: 2, numTodoTests: 1, numFailedTestSuites: ${suites} });`;

  it("counts the checks and the tests, and says how long the whole took", async () => {
    const all = await tested(counts(5, 0), "exit 0", "scripts/test.sh");
    expect(all).toMatchObject({ code: 0, counts: [8, 0, 3] });
    expect(all.said).toMatch(/\npassed: npm run typecheck\npassed: npm run lint\npassed: npm run check:sandbox\n/);
    expect(all.said).toMatch(/\nEverything took \d+ s\.\n/);
  });

  it("where a test fails, and where a file cannot be loaded", async () => {
    expect(await tested(`${counts(5, 2)} process.exitCode = 1;`)).toMatchObject({ code: 1, counts: [8, 2, 3] });
    expect(await tested(`${counts(5, 0, 1)} process.exitCode = 1;`)).toMatchObject({ code: 1, counts: [8, 1, 3] });
    expect(await tested(counts(0, 0))).toMatchObject({ code: 1, counts: [3, 1, 3] });
  });

  it("where vitest dies before its report, or its report is none", async () => {
    const died = await tested("process.kill(process.pid, 'SIGKILL');");
    expect(died).toMatchObject({ code: 1, counts: [3, 1, 0] });
    expect(died.said).toContain("without a report");
    expect(await tested("report('nonsense');")).toMatchObject({ code: 1, counts: [3, 1, 0] });
  });

  it("where a check cannot be made on this machine", async () => {
    const skipped = await tested(counts(5, 0), 'case "$*" in *check:sandbox*) exit 77 ;; esac');
    expect(skipped).toMatchObject({ code: 0, counts: [7, 0, 4] });
  });

  it("where types or form are wrong, and the tests run all the same", async () => {
    const wrong = await tested(counts(5, 0), 'case "$*" in *lint*) exit 1 ;; esac');
    expect(wrong).toMatchObject({ code: 1, counts: [7, 1, 3] });
    expect(wrong.said).toMatch(/\nfailed: npm run lint\n/);
  });
});
