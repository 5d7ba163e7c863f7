import { execFileSync, spawn } from "node:child_process";
import { chmod, cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";

const ROOT = resolve(import.meta.dirname, "../../..");
/** What the scripts call and every machine has. */
const TOOLS =
  "bash sh node env timeout cat grep sleep date id uname sed awk mkdir rm rmdir dirname basename tail head setsid nohup find touch mv cp ls tr cut flock sha256sum";

const tools = execFileSync("bash", ["-c", `command -v ${TOOLS}`], { encoding: "utf8" })
  .trim()
  .split("\n");

/** A daemon that answers a ping, and has neither containers nor networks. It is a script of bash, so that the system knows it by the name of dockerd. */
const DOCKERD = `#!/usr/bin/env bash
while [ $# -gt 0 ]; do case "$1" in --host) socket=\${2#unix://}; shift ;; esac; shift; done
rm -f "$socket"
node -e '
  require("node:http")
    .createServer((request, response) => response.end(/containers|networks/.test(request.url) ? "[]" : request.url.includes("/info") ? "{}" : "OK"))
    .listen(process.argv[1]);
' "$socket" &
wait
`;

export interface Ended {
  code: number | null;
  /** Both streams, as a person sees them. */
  said: string;
}

/** A checkout in a folder of its own, and a PATH that holds nothing but the usual tools and stand-ins for what a test is about. */
export interface Machine extends AsyncDisposable {
  root: string;
  /** Where KERNELBOX_ENGINE_DIR points. */
  engine: string;
  path: (...parts: string[]) => string;
  program: (name: string, source: string) => Promise<void>;
  without: (name: string) => Promise<void>;
  run: (script: string, env?: Record<string, string>, as?: { uid: number; gid: number }) => Promise<Ended>;
  hasProcess: (pid: number) => boolean;
}

export const NOBODY = { uid: 65_534, gid: 65_534 };
export const isRoot = process.getuid?.() === 0;

/** Builds what the scripts import; once for all machines of a file. */
export async function built(): Promise<AsyncDisposable & { dist: string }> {
  const folder = await mkdtemp(join(tmpdir(), "kernelbox-built-"));
  const dist = join(folder, "dist");
  execFileSync(join(ROOT, "node_modules/.bin/tsc"), ["-p", join(ROOT, "tsconfig.build.json"), "--outDir", dist]);
  return { dist, [Symbol.asyncDispose]: async () => await rm(folder, { recursive: true }) };
}

export async function machine(dist: string): Promise<Machine> {
  const root = await mkdtemp(join(tmpdir(), "kernelbox-"));
  await chmod(root, 0o755);
  const path = (...parts: string[]) => join(root, ...parts);
  for (const name of ["bin", "src", "node_modules", "cache", "engine"]) await mkdir(path(name));
  for (const name of ["scripts", "package.json", "package-lock.json"]) await cp(join(ROOT, name), path(name), { recursive: true });
  await cp(dist, path("dist"), { recursive: true });
  for (const name of await readdir(join(ROOT, "node_modules"))) {
    if (!name.startsWith(".")) await symlink(join(ROOT, "node_modules", name), path("node_modules", name));
  }
  for (const name of ["tsconfig.json", "tsconfig.build.json"]) await writeFile(path(name), "{}");
  // Newer than the sources, so that nothing is built.
  await writeFile(path("node_modules/.kernelbox-built"), "");
  for (const tool of tools) await symlink(tool, path("bin", basename(tool)));
  const program = async (name: string, source: string) => {
    await rm(path("bin", name), { force: true });
    await writeFile(path("bin", name), source, { mode: 0o755 });
  };
  await program("npm", "#!/bin/sh\nexit 0\n");
  await program("dockerd", DOCKERD);
  const env = {
    PATH: path("bin"),
    HOME: root,
    XDG_CACHE_HOME: path("cache"),
    KERNELBOX_SETUP_SKIP_IMAGE: "1",
    KERNELBOX_STATE_DIR: path("state"),
    KERNELBOX_ENGINE_DIR: path("engine"),
  };
  return {
    root,
    engine: path("engine"),
    path,
    program,
    without: async (name) => await rm(path("bin", name)),
    run: async (script, more = {}, as) => {
      const child = spawn("/usr/bin/env", ["bash", script], { cwd: root, env: { ...env, ...more }, ...as });
      let said = "";
      for (const stream of [child.stdout, child.stderr]) {
        stream.on("data", (chunk) => {
          said += chunk;
        });
      }
      // Its exit, not the end of its streams: a daemon that kept one would hold this for ever.
      const code = await new Promise<number | null>((done, fail) => child.on("error", fail).on("exit", done));
      await new Promise((turn) => setTimeout(turn, 50));
      return { code, said };
    },
    hasProcess: (pid) => {
      try {
        process.kill(pid, 0);
        return true;
      } catch {
        return false;
      }
    },
    [Symbol.asyncDispose]: async () => {
      const pid = Number(await readFile(path("state/dockerd.pid"), "utf8").catch(() => ""));
      // It leads a session of its own.
      if (pid > 1) {
        try {
          process.kill(-pid, "SIGKILL");
        } catch {
          // It has ended.
        }
      }
      await rm(root, { recursive: true, force: true });
    },
  };
}
