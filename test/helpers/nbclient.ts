import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const ROOT = resolve(import.meta.dirname, "../..");
const LOCK = join(ROOT, "test/notebook/requirements.txt");
const CACHE = join(ROOT, "node_modules/.cache/kernelbox-notebook");
const DOWNLOAD_MS = 120_000;

/** The wheel of nbclient, downloaded once. Undefined where there is no Python that could do it. */
export async function nbclientWheel(): Promise<{ name: string; bytes: Buffer } | undefined> {
  const version = /^nbclient==(\S+)/m.exec(await readFile(LOCK, "utf8"))?.[1];
  const name = `nbclient-${version}-py3-none-any.whl`;
  if (!existsSync(join(CACHE, name))) {
    const hasPython = await run("python3", ["-c", "import ensurepip, venv"]).then(
      () => true,
      () => false,
    );
    if (!hasPython) return undefined;
    const venv = join(CACHE, "venv");
    await mkdir(CACHE, { recursive: true });
    await run("python3", ["-m", "venv", venv], { timeout: DOWNLOAD_MS });
    const pip = [
      "download",
      "--quiet",
      "--disable-pip-version-check",
      "--no-deps",
      "--require-hashes",
      "--requirement",
      LOCK,
      "--dest",
      CACHE,
    ];
    await run(join(venv, "bin/pip"), pip, { timeout: DOWNLOAD_MS });
  }
  if (!(await readdir(CACHE)).includes(name)) throw new Error(`${LOCK} did not bring ${name}`);
  return { name, bytes: await readFile(join(CACHE, name)) };
}
