import { resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { TEST_IMAGE } from "../helpers/client.ts";
import { kernelbox } from "../helpers/command.ts";
import { guardAgainstLeaks } from "../helpers/containers.ts";
import { engineSocket } from "../helpers/engine-socket.ts";

guardAgainstLeaks();

const MAIN = `node ${resolve("dist/main.js")}`;
const GOOD = { ServerVersion: "99", SecurityOptions: ["name=seccomp,profile=default"], CgroupVersion: "2", Runtimes: { runc: {} } };

/** What a check of doctor's said, and its mend. */
function finding(stdout: string, check: string): { verdict: string; what: string; mend: string | undefined } {
  const found = new RegExp(`^(ok|FAIL) +${check}: (.*)(?:\n {6}mend: (.*))?$`, "m").exec(stdout);
  return { verdict: found?.[1] ?? "missing", what: found?.[2] ?? "", mend: found?.[3] };
}

/** Doctor's look at an engine that says this of itself, and has no image. */
async function examined(info: object, ...flags: string[]) {
  await using engine = await engineSocket(info, (url, response) => {
    if (url.startsWith("/version")) response.end('{"Version":"99","ApiVersion":"1.99"}');
    else response.writeHead(404).end('{"message":"No such image"}');
  });
  const { code, stdout } = await kernelbox(["doctor", "--docker-host", engine.host, ...flags]);
  expect(code).toBe(1);
  return { host: engine.host, of: (check: string) => finding(stdout, check) };
}

describe("doctor", () => {
  it("finds all well, to a real execution", async () => {
    const { code, stdout } = await kernelbox(["doctor", "--image", TEST_IMAGE]);
    expect(stdout).toMatch(/^ok +execution: right after \d+ ms$/m);
    expect(finding(stdout, "bounds")).toMatchObject({ verdict: "ok" });
    expect(stdout).not.toContain("FAIL");
    expect(code).toBe(0);
  });

  it.each([
    [["--docker-host", "unix:///does/not/exist.sock"], {}, "leave out --docker-host"],
    [["--docker-host", "tcp://127.0.0.1:9"], {}, "leave out --docker-host"],
    [[], { DOCKER_HOST: "unix:///does/not/exist.sock" }, "unset DOCKER_HOST"],
  ])("an engine that was named and is silent: %o %o", async (flags, env, instead) => {
    const { code, stdout } = await kernelbox(["doctor", ...flags], env);
    const mend = `Start the engine there, or take the usual one: ${instead}. Then try again.`;
    expect(finding(stdout, "engine")).toMatchObject({ verdict: "FAIL", mend });
    expect(code).toBe(1);
  });

  it("an image of the user's that is missing: not setup, which would build nothing", async () => {
    const { of } = await examined(GOOD, "--image", "kernelbox/none:such");
    const mend = "docker pull kernelbox/none:such, or leave out --image";
    expect(of("image")).toEqual({ verdict: "FAIL", what: "kernelbox/none:such is missing", mend });
  });

  it.each(["core", "full", "full-r"])(
    "a flavour that is missing: the command that builds %s, as it can be called here",
    async (flavour) => {
      const { of, host } = await examined(GOOD, "--image", flavour);
      expect(of("image")).toMatchObject({ verdict: "FAIL", mend: `${MAIN} setup --image ${flavour} --docker-host ${host}` });
    },
  );

  it("an engine without what a sandbox needs", async () => {
    const bare = await examined({ ...GOOD, SecurityOptions: [], MemoryLimit: false, PidsLimit: false, CpuCfsQuota: true });
    expect(bare.of("seccomp")).toMatchObject({ verdict: "FAIL", mend: "Use an engine and a kernel with seccomp." });
    expect(bare.of("bounds")).toMatchObject({ verdict: "FAIL", what: "the engine does not bound memory and processes" });
    expect(bare.of("bounds").mend).toMatch(/cgroup_enable=memory swapaccount=1/);
    const rootless = await examined({ ...GOOD, SecurityOptions: ["name=seccomp", "name=rootless"], CpuCfsQuota: false });
    expect(rootless.of("bounds")).toMatchObject({ verdict: "FAIL", what: "the engine does not bound processors" });
    expect(rootless.of("bounds").mend).toMatch(/Delegate=cpu cpuset io memory pids/);
  });

  it("a runtime that the engine does not have; one of containerd's names is never among those that it tells", async () => {
    const { of } = await examined(GOOD, "--runtime", "runsc");
    expect(of("runtime")).toEqual({
      verdict: "FAIL",
      what: "the engine has no runtime runsc; it has runc",
      mend: "Install it and add it to /etc/docker/daemon.json, or leave out --runtime.",
    });
    expect((await examined(GOOD, "--runtime", "io.containerd.kata.v2")).of("runtime")).toMatchObject({ verdict: "ok" });
  });
});
