import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { pack } from "tar-stream";
import { beforeAll, describe, expect, it } from "vitest";
import { createDockerEngine } from "../../src/engines/docker/index.ts";
import { LIMITS } from "../../src/limits.ts";
import { createLog } from "../../src/log.ts";
import { TEST_IMAGE } from "../helpers/client.ts";
import { guardAgainstLeaks, TEST_LABELS } from "../helpers/containers.ts";

guardAgainstLeaks();

/**
 * The supervisor's own tests, in Python, run where it runs: in a hardened container of the real image. They come in as a tar over stdin; what
 * became of each goes out as a line of JSON.
 */
const RUNNER = `
import io, json, os, sys, tarfile, unittest
size = int(sys.stdin.buffer.readline())
tarfile.open(fileobj=io.BytesIO(sys.stdin.buffer.read(size))).extractall('/tmp/tests', filter='data')
sys.path.insert(0, '/tmp/tests')
out = os.fdopen(os.dup(1), 'w')
class Result(unittest.TestResult):
    def say(self, test, outcome, why=''):
        print(json.dumps({'name': test.id(), 'outcome': outcome, 'why': why}), file=out, flush=True)
    def addSuccess(self, test): self.say(test, 'passed')
    def addFailure(self, test, err): self.say(test, 'failed', self._exc_info_to_string(err, test))
    def addError(self, test, err): self.say(test, 'failed', self._exc_info_to_string(err, test))
    def addSkip(self, test, reason): self.say(test, 'skipped', reason)
    def addSubTest(self, test, subtest, err):
        if err is not None: self.say(test, 'failed', self._exc_info_to_string(err, test))
unittest.defaultTestLoader.discover('/tmp/tests/sandbox_tests', top_level_dir='/tmp/tests').run(Result())
print(json.dumps({'name': 'end', 'outcome': 'passed', 'why': ''}), file=out, flush=True)
`;

const FOLDER = join(import.meta.dirname, "../../sandbox/tests");
const files = readdirSync(FOLDER).filter((name) => /\.(py|json)$/.test(name));
const source = (name: string) => readFileSync(join(FOLDER, name), "utf8");
const names = files.flatMap((file) =>
  [...source(file).matchAll(/^ {4}(?:async )?def (test_\w+)/gm)].map((match) => `${file}: ${match[1]}`),
);

/** All of them take four minutes on two cores that others use too. */
const RUN_MS = 8 * 60_000;

type Outcome = { name: string; outcome: string; why: string };
const outcomes: Outcome[] = [];

beforeAll(async () => {
  const engine = createDockerEngine({ log: createLog("silent"), command: ["/opt/py/bin/python", "-I", "-c", RUNNER] });
  const image = TEST_IMAGE === "core" || TEST_IMAGE === "full" ? await engine.images.refOf(TEST_IMAGE) : TEST_IMAGE;
  const archive = pack();
  for (const file of files) archive.entry({ name: `sandbox_tests/${file}` }, source(file));
  archive.finalize();
  const parts: Buffer[] = [];
  for await (const part of archive) parts.push(part as Buffer);
  const bytes = Buffer.concat(parts);
  const { container } = LIMITS;
  const { containerId, stream } = await engine.create({
    name: "kernelbox-tests",
    image,
    labels: TEST_LABELS,
    memoryBytes: container.memoryBytes,
    workspaceBytes: container.workspaceBytes,
    cpus: container.cpus,
    pids: container.pids,
  });
  stream.write(`${bytes.length}\n`);
  stream.write(bytes);
  // Where a test hangs, those before it count.
  const deadline = setTimeout(() => void engine.destroy(containerId), RUN_MS);
  try {
    for await (const line of createInterface({ input: stream })) {
      const outcome = JSON.parse(line) as Outcome;
      outcomes.push(outcome);
      if (outcome.name === "end") break;
    }
  } finally {
    clearTimeout(deadline);
    await engine.destroy(containerId);
  }
}, RUN_MS + 30_000);

describe("the supervisor's own tests", () => {
  it("ran to their end", () => {
    expect(outcomes.at(-1)?.name).toBe("end");
    expect(names.length).toBeGreaterThan(30);
  });

  it.each(names)("%s", (name) => {
    const [file, test] = name.split(": ") as [string, string];
    const of = outcomes.filter((outcome) => outcome.name.includes(`.${file.slice(0, -3)}.`) && outcome.name.endsWith(`.${test}`));
    expect(of.length).toBeGreaterThan(0);
    expect(of.filter((outcome) => outcome.outcome !== "passed").map((outcome) => outcome.why)).toEqual([]);
  });
});
