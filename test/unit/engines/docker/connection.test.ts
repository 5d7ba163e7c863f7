import { mkdtemp, rm } from "node:fs/promises";
import http from "node:http";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { expect, test } from "vitest";
import { connect } from "../../../../src/engines/docker/connection.ts";
import { hostSurroundings, type Surroundings } from "../../../../src/engines/docker/endpoint.ts";
import { createDockerEngine } from "../../../../src/engines/docker/index.ts";

const log = pino({ level: "silent" });
const INFO = { ServerVersion: "99", NCPU: 3, CgroupVersion: "2", Runtimes: { runc: {}, runsc: {} } };

interface Home extends AsyncDisposable {
  around: Surroundings;
  path: (name: string) => string;
  listen: (name: string, server: net.Server) => Promise<void>;
}

/** A home folder in which sockets can lie where desktops put theirs. */
async function home(): Promise<Home> {
  const folder = await mkdtemp(join(tmpdir(), "kernelbox-"));
  const servers: net.Server[] = [];
  const sockets = new Set<string>();
  const path = (name: string) => join(folder, name);
  const around = {
    ...hostSurroundings(),
    env: { DOCKER_HOST: "" },
    home: folder,
    uid: undefined,
    exists: (file: string) => sockets.has(file),
  };
  return {
    // The socket is short-lived and lies flat in the folder; the usual name is only where discovery looks.
    around,
    path,
    listen: async (name, server) => {
      servers.push(server);
      sockets.add(path(name));
      await new Promise<void>((resolve) => server.listen(path(name), resolve));
    },
    [Symbol.asyncDispose]: async () => {
      for (const server of servers) server.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

const answering = () =>
  http.createServer((_, response) => response.setHeader("content-type", "application/json").end(JSON.stringify(INFO)));

test("a named engine that answers is taken, and what decides a container's settings is read from it", async () => {
  await using machine = await home();
  await machine.listen("a.sock", answering());
  const { traits, endpoint } = await connect(`unix://${machine.path("a.sock")}`, log, machine.around);
  expect(traits).toEqual({ cpus: 3, cgroupVersion: "2", runtimes: ["runc", "runsc"], hasVolumeQuota: true });
  expect(endpoint.label).toContain("a.sock");
});

test("the environment of docker-modem does not lead to another engine than the one meant", async () => {
  await using machine = await home();
  await machine.listen("a.sock", answering());
  const before = process.env.DOCKER_HOST;
  process.env.DOCKER_HOST = "tcp://127.0.0.1:9";
  try {
    await connect(`unix://${machine.path("a.sock")}`, log, machine.around);
  } finally {
    if (before === undefined) delete process.env.DOCKER_HOST;
    else process.env.DOCKER_HOST = before;
  }
});

test("a socket that hangs, and one that nobody listens at, are passed over", async () => {
  await using machine = await home();
  const { mkdir, writeFile } = await import("node:fs/promises");
  for (const folder of [".docker/run", ".docker/desktop", ".colima/default"]) await mkdir(machine.path(folder), { recursive: true });
  await writeFile(machine.path(".docker/run/docker.sock"), "");
  await machine.listen(".docker/desktop/docker.sock", net.createServer());
  await machine.listen(".colima/default/docker.sock", answering());
  const around = {
    ...machine.around,
    exists: (path: string) => path.startsWith(machine.path("")) && !/orbstack|rd|lima\/docker|colima\/docker/.test(path),
  };
  const { endpoint } = await connect(undefined, log, around);
  expect(endpoint.label).toBe(machine.path(".colima/default/docker.sock"));
}, 15_000);

test("where there is none, the hint is the platform's own command, and a later call looks again", async () => {
  await using machine = await home();
  const engine = createDockerEngine({ log, surroundings: { ...machine.around, platform: "darwin" } });
  await expect(engine.info()).rejects.toMatchObject({ code: "engine_unavailable", hint: expect.stringContaining("open -a Docker") });
  const linux = {
    ...machine.around,
    platform: "linux" as const,
    exists: (path: string) => path === "/run/systemd/system" || path === "/usr/sbin/dockerd",
  };
  await expect(createDockerEngine({ log, surroundings: { ...linux, uid: 1_000 } }).info()).rejects.toMatchObject({
    hint: "Start it: sudo systemctl enable --now docker. Then try again.",
  });
  const { mkdir } = await import("node:fs/promises");
  await mkdir(machine.path(".docker/run"), { recursive: true });
  await machine.listen(".docker/run/docker.sock", answering());
  expect(await engine.info()).toMatchObject({ name: "docker", cpus: 3 });
});
