import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { candidateEndpoints, type Surroundings } from "../../../../src/engines/docker/endpoint.ts";

/** A machine that consists of these files and variables. */
function machine(files: Record<string, string> = {}, env: NodeJS.ProcessEnv = {}, platform: NodeJS.Platform = "linux"): Surroundings {
  return {
    env,
    home: "/home/ada",
    platform,
    uid: 1234,
    exists: (path) => path in files,
    readFile: (path) => {
      const text = files[path];
      if (text === undefined) throw Object.assign(new Error("ENOENT"), { code: "ENOENT" });
      return Buffer.from(text);
    },
  };
}

const addresses = (around: Surroundings, named?: string) => candidateEndpoints(named, around).map(({ address }) => address);
const contextFolder = (name: string) => createHash("sha256").update(name).digest("hex");
const contextFiles = (name: string, host: string) => ({
  "/home/ada/.docker/config.json": JSON.stringify({ currentContext: name }),
  [`/home/ada/.docker/contexts/meta/${contextFolder(name)}/meta.json`]: JSON.stringify({ Endpoints: { docker: { Host: host } } }),
});

test("every usual socket that exists is a candidate, in the order of Docker's own client", () => {
  const sockets = [
    "/var/run/docker.sock",
    "/run/user/1234/docker.sock",
    "/home/ada/.docker/desktop/docker.sock",
    "/home/ada/.colima/default/docker.sock",
  ];
  const around = machine(Object.fromEntries(sockets.map((path) => [path, ""])));
  expect(addresses(around)).toEqual(sockets.map((socketPath) => ({ socketPath })));
  expect(addresses(machine())).toEqual([]);
  expect(addresses(machine({ "/run/x/docker.sock": "" }, { XDG_RUNTIME_DIR: "/run/x" }))).toEqual([{ socketPath: "/run/x/docker.sock" }]);
  expect(addresses(machine({ "//./pipe/docker_engine": "" }, {}, "win32"))).toEqual([{ socketPath: "//./pipe/docker_engine" }]);
});

test("what is named is the only candidate: an option before DOCKER_HOST before the context", () => {
  const files = { "/var/run/docker.sock": "", ...contextFiles("colima", "unix:///colima.sock") };
  expect(addresses(machine(files))).toEqual([{ socketPath: "/colima.sock" }]);
  expect(addresses(machine(files, { DOCKER_HOST: "unix:///host.sock" }))).toEqual([{ socketPath: "/host.sock" }]);
  expect(addresses(machine(files, { DOCKER_HOST: "unix:///host.sock" }), "unix:///option.sock")).toEqual([{ socketPath: "/option.sock" }]);
  expect(addresses(machine(files, { DOCKER_HOST: "", DOCKER_CONTEXT: "default" }))).toEqual([{ socketPath: "/var/run/docker.sock" }]);
});

test("a context is read from DOCKER_CONTEXT and DOCKER_CONFIG too, with its own certificates", () => {
  const hash = contextFolder("remote");
  const around = machine(
    {
      [`/etc/docker-cli/contexts/meta/${hash}/meta.json`]: JSON.stringify({ Endpoints: { docker: { Host: "tcp://engine.example:2376" } } }),
      [`/etc/docker-cli/contexts/tls/${hash}/docker/ca.pem`]: "ca",
      [`/etc/docker-cli/contexts/tls/${hash}/docker/cert.pem`]: "cert",
      [`/etc/docker-cli/contexts/tls/${hash}/docker/key.pem`]: "key",
    },
    { DOCKER_CONTEXT: "remote", DOCKER_CONFIG: "/etc/docker-cli" },
  );
  const keys = { ca: Buffer.from("ca"), cert: Buffer.from("cert"), key: Buffer.from("key") };
  expect(addresses(around)).toEqual([{ protocol: "https", host: "engine.example", port: 2376, ...keys }]);
});

test("a context without a description says how to choose another", () => {
  const around = machine({ "/home/ada/.docker/config.json": '{"currentContext":"gone"}' });
  expect(() => candidateEndpoints(undefined, around)).toThrow(
    expect.objectContaining({ code: "engine_unavailable", hint: expect.stringContaining("docker context use default") }),
  );
  expect(addresses(machine({ "/home/ada/.docker/config.json": "not json", "/var/run/docker.sock": "" }))).toHaveLength(1);
});

test("tcp is plain or TLS as the environment says", () => {
  const plain = machine({}, { DOCKER_HOST: "tcp://10.0.0.1" });
  expect(addresses(plain)).toEqual([{ protocol: "http", host: "10.0.0.1", port: 2375 }]);
  expect(addresses(machine({}, { DOCKER_HOST: "tcp://[::1]:9" }))).toEqual([{ protocol: "http", host: "::1", port: 9 }]);
  const files = { "/certs/ca.pem": "ca", "/certs/cert.pem": "cert", "/certs/key.pem": "key" };
  const tls = { DOCKER_HOST: "tcp://10.0.0.1", DOCKER_TLS_VERIFY: "1", DOCKER_CERT_PATH: "/certs" };
  expect(addresses(machine(files, tls))[0]).toMatchObject({ protocol: "https", port: 2376, ca: Buffer.from("ca") });
  expect(() => candidateEndpoints(undefined, machine({}, tls))).toThrow(
    expect.objectContaining({ code: "engine_unavailable", message: expect.stringContaining("/certs/ca.pem") }),
  );
});

test("a label never shows a password", () => {
  const [endpoint] = candidateEndpoints("tcp://ada:secret@10.0.0.1:2375", machine());
  expect(endpoint?.label).toBe("tcp://10.0.0.1:2375 (--docker-host)");
});

test.for(["ssh://ada@host", "ftp://host", "host:2375", "nonsense", "tcp://"])("%s is unsupported, with a way out", (host) => {
  expect(() => candidateEndpoints(undefined, machine({}, { DOCKER_HOST: host }))).toThrow(
    expect.objectContaining({ code: "unsupported", hint: expect.stringMatching(/unix:\/\/\//) }),
  );
});
