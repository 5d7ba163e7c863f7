import { execFileSync, spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { chmod, mkdir, readFile, stat, writeFile } from "node:fs/promises";
import net from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { hostSurroundings } from "../../../src/engines/docker/endpoint.ts";
import { startHint } from "../../../src/engines/docker/start-hint.ts";
import { built, isRoot, machine, NOBODY } from "./machine.ts";

/** scripts/setup.sh and scripts/engine.sh themselves, on machines that are made up of stand-ins for foreign programs. */

let made: Awaited<ReturnType<typeof built>>;
beforeAll(async () => {
  made = await built();
}, 60_000);
afterAll(async () => await made[Symbol.asyncDispose]());

const SETUP = "scripts/setup.sh";
const ROOT_ID = '#!/bin/sh\nif [ "$1" = -u ]; then echo 0; else echo root; fi\n';
const SLOW = { timeout: 30_000 };

/** A machine of root's, whoever runs this. */
async function rootMachine() {
  const made_ = await machine(made.dist);
  await made_.program("id", ROOT_ID);
  return made_;
}

/** A process that has nothing to do with us. */
function stranger() {
  const child = spawn("sleep", ["60"], { stdio: "ignore" });
  return { pid: child.pid ?? 0, [Symbol.dispose]: () => void child.kill("SIGKILL") };
}

const deadPid = () => spawnSync("true").pid;

/** Why this user cannot be another one here; empty where it can. */
function noNobody(): string {
  if (!isRoot) return "";
  try {
    execFileSync("node", ["--version"], NOBODY);
    return "";
  } catch {
    return "node lies where no other user may run it";
  }
}

describe.skipIf(process.platform !== "linux")("where an engine can be started", SLOW, () => {
  it("starts one, looks after what dead servers left, and finds it the next time", async () => {
    await using computer = await rootMachine();
    const first = await computer.run(SETUP);
    expect(first.said).toMatch(/starting dockerd .*\n.*engine answers at .*docker\.sock/);
    expect(first.said).toMatch(/0 containers removed\n.*sandboxes of dead servers: done/);
    expect(first.code).toBe(0);
    const second = await computer.run(SETUP);
    expect(second.said).toMatch(/engine answers at/);
    expect(second.said).not.toMatch(/starting dockerd|dead servers/);
    expect(second.code).toBe(0);
  });

  it("takes away the pid file and the socket that a killed one left, and whose pid it now is stays unharmed", async () => {
    await using computer = await rootMachine();
    using other = stranger();
    for (const pid of [deadPid(), other.pid]) {
      await writeFile(computer.path("engine/docker.pid"), String(pid));
      await mkdir(computer.path("engine/exec/containerd"), { recursive: true });
      await writeFile(computer.path("engine/exec/containerd/containerd.pid"), String(pid));
      const { code, said } = await computer.run(SETUP);
      expect(said).toMatch(/clearing what a killed engine left: .*engine\/docker\.pid/);
      expect(said).toMatch(/clearing what a killed engine left: .*containerd\.pid/);
      // The stand-in writes neither.
      for (const file of ["docker.pid", "exec/containerd/containerd.pid"])
        expect(existsSync(computer.path("engine", file)), file).toBe(false);
      expect(said).toMatch(/engine answers at/);
      expect(code).toBe(0);
      // Killed: its socket stays behind.
      process.kill(-Number(await readFile(computer.path("state/dockerd.pid"), "utf8")), "SIGKILL");
      expect((await stat(computer.path("engine/docker.sock"))).isSocket()).toBe(true);
    }
    expect(computer.hasProcess(other.pid)).toBe(true);
  });

  it("waits for one that runs and does not answer yet, and starts no second one", async () => {
    await using computer = await rootMachine();
    await computer.program("dockerd-now", await readFile(computer.path("bin/dockerd"), "utf8"));
    // Straight to bash: through env, the system would know it by the name of bash.
    await computer.program("dockerd", '#!/bin/bash\nsleep 1.5\n"$0-now" "$@"\nexit\n');
    const daemon = spawn(computer.path("bin/dockerd"), ["--host", `unix://${computer.path("engine/docker.sock")}`], {
      stdio: "ignore",
      detached: true,
    });
    try {
      await writeFile(computer.path("engine/docker.pid"), String(daemon.pid));
      const { code, said } = await computer.run(SETUP);
      expect(said).toMatch(new RegExp(`dockerd \\(pid ${daemon.pid}\\) runs already and does not answer yet`));
      expect(said).not.toMatch(/starting dockerd/);
      expect(code).toBe(0);
    } finally {
      process.kill(-(daemon.pid ?? 0), "SIGKILL");
    }
  });

  it("shows the last words of one that dies, and the next step", async () => {
    await using computer = await rootMachine();
    await computer.program(
      "dockerd",
      "#!/bin/sh\necho 'first words'\nfor n in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do echo $n; done\necho 'failed to start daemon: no iptables'\nexit 1\n",
    );
    const { code, said } = await computer.run(SETUP);
    expect(said).toMatch(/no iptables\n\nsetup: failed: dockerd did not start .*dockerd\.log\)\n {2}next: mend what they say/);
    expect(said).not.toContain("first words");
    expect(code).toBe(1);
  });

  it("removes an empty folder in the socket's place, and leaves one alone that is not", async () => {
    await using computer = await rootMachine();
    await mkdir(computer.path("engine/docker.sock"));
    expect(await computer.run(SETUP)).toMatchObject({ code: 0, said: expect.stringContaining("engine answers at") });
    await using other = await rootMachine();
    await mkdir(other.path("engine/docker.sock/somebody's"), { recursive: true });
    const { code, said } = await other.run(SETUP);
    expect(said).toMatch(/docker\.sock is a folder\n {2}next: look at what is in it/);
    expect(code).toBe(1);
  });

  it("installs what is missing with apt-get, and says what to do where that fails", async () => {
    await using computer = await rootMachine();
    await computer.program("saved", await readFile(computer.path("bin/dockerd"), "utf8"));
    await computer.without("dockerd");
    await computer.program("apt-cache", "#!/bin/sh\necho docker-cli\n");
    await computer.program("apt-get", '#!/bin/sh\necho "apt-get $*"\nexit 100\n');
    const failed = await computer.run(SETUP);
    expect(failed.said).toMatch(/failed: apt-get could not install docker\.io\n {2}next: apt-get install docker\.io/);
    expect(failed.code).toBe(1);
    const bin = computer.path("bin");
    await computer.program("apt-get", `#!/bin/sh\necho "apt-get $*"\ncase "$*" in *install*) cp ${bin}/saved ${bin}/dockerd ;; esac\n`);
    const { code, said } = await computer.run(SETUP);
    expect(said).toMatch(/apt-get .*install -y --no-install-recommends docker\.io iptables docker-cli\n/);
    expect(said).toMatch(/engine answers at/);
    expect(code).toBe(0);
  });
});

describe("where no engine can be started", SLOW, () => {
  it.skipIf(noNobody() !== "")("who is not root is told the exact command for this machine", async () => {
    await using computer = await machine(made.dist);
    await computer.without("dockerd");
    await computer.program("dnf", "");
    await chmod(computer.path("cache"), 0o777);
    await chmod(computer.path("node_modules"), 0o777);
    const { code, said } = await computer.run(SETUP, {}, isRoot ? NOBODY : undefined);
    const around = { ...hostSurroundings(), uid: 1_000, env: { PATH: computer.path("bin") } };
    expect(said).toContain(`failed: no Docker engine answers\n  next: ${startHint(around)}`);
    expect(said).toContain("sudo ");
    expect(code).toBe(1);
  });

  it.skipIf(noNobody() !== "")("who may not use the socket is told the group to join", async () => {
    await using computer = await machine(made.dist);
    await chmod(computer.path("cache"), 0o777);
    await chmod(computer.path("node_modules"), 0o777);
    const server = net.createServer();
    await new Promise<void>((done) => server.listen(computer.path("engine/docker.sock"), done));
    await chmod(computer.path("engine/docker.sock"), 0);
    try {
      const { code, said } = await computer.run(SETUP, {}, isRoot ? NOBODY : undefined);
      expect(said).toMatch(/docker\.sock .*does not let \S+ in\n {2}next: sudo usermod -aG docker \S+, log in again/);
      expect(code).toBe(1);
    } finally {
      server.close();
    }
  });

  it("one that is named and silent is said with its name, and none is started in its place", async () => {
    await using computer = await rootMachine();
    const env = { KERNELBOX_ENGINE_DIR: "", DOCKER_HOST: `unix://${computer.path("elsewhere.sock")}` };
    const { code, said } = await computer.run(SETUP, env);
    expect(said).toMatch(
      /the engine that is named does not answer: unix:.*elsewhere\.sock \(DOCKER_HOST\)\n {2}next: start it, or name another/,
    );
    expect(said).not.toContain("starting dockerd");
    expect(code).toBe(1);
  });

  it("one behind ssh is said with the way around it", async () => {
    await using computer = await rootMachine();
    const { code, said } = await computer.run(SETUP, { KERNELBOX_ENGINE_DIR: "", DOCKER_HOST: "ssh://me@there" });
    expect(said).toMatch(/behind ssh, which Kernelbox does not speak\.\n {2}next: Forward its socket: ssh -NL/);
    expect(code).toBe(1);
  });
});
