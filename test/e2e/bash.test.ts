import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startClient, type TestClient } from "../helpers/client.ts";
import { guardAgainstLeaks } from "../helpers/containers.ts";
import { imageFor } from "../helpers/language-images.ts";

guardAgainstLeaks();

describe("the end of a shell in Bash", async () => {
  const image = await imageFor("bash");
  if (image.missing !== undefined) {
    it.skip(`not run: ${image.missing}`, () => {});
    return;
  }
  let client: TestClient;
  let context_id: string;
  let incarnation = 1;
  const run = async (code: string, args = {}) => (await client.run(code, { context_id, ...args })).structured;
  beforeAll(async () => {
    client = await startClient("sdk 2, 2026-07-28", ["--image", image.ref, "--memory", "600", "--workspace", "50"]);
    context_id = (await client.call("create_context", { language: "bash" })).structured.context_id;
  });
  afterAll(async () => await client.close());

  // A shell that ends takes its variables with it: the kernel ends as the shell did, and that is what is told.
  it.each([
    ["exit 7", "ShellExited", "7", "exited"],
    ["set -e; false; echo not", "ShellExited", "1", "exited"],
    ["kill -9 $$", "ShellExited", "137", "killed"],
    ["x=a; while :; do x=$x$x; done", "ShellExited", "137", "out_of_memory"],
  ])("is told with what it took along, and the next code finds a new one: %s", async (code, name, value, reason) => {
    await run("x=41; sleep 1000 & disown");
    const reply = await run(`echo said; ${code}`);
    incarnation++;
    expect(reply).toMatchObject({
      status: "died",
      stdout: "said\n",
      error: { name, value },
      state: { variables: "lost", reason, incarnation },
    });
    const next = await run('echo "${x-unset}"; pgrep -c sleep');
    expect(next).toMatchObject({ stdout: "unset\n0\n", state: { variables: "kept", incarnation } });
  });

  it("is told by the next code where it came between two", async () => {
    await run("x=41; (sleep 0.3; kill -9 $$) &");
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    incarnation++;
    expect(await run('echo "${x-unset}"')).toMatchObject({
      stdout: "unset\n",
      state: { variables: "lost", reason: "killed", incarnation },
    });
  });

  it("comes with the kernel's, and nothing of it stays", async () => {
    await run("sleep 1000 &");
    const reply = await run("kill -9 $PPID; sleep 1000");
    incarnation++;
    expect(reply).toMatchObject({ status: "died", state: { variables: "lost", reason: "killed", incarnation } });
    expect(await run("pgrep -c sleep; pgrep -xc bash")).toMatchObject({ stdout: "0\n1\n" });
  });

  it("is what stops code that no interrupt stops, with all that it started", async () => {
    const reply = await run("trap '' INT; sleep 1000 & sleep 1000", { timeout_s: 1 });
    incarnation++;
    expect(reply).toMatchObject({ status: "timeout", state: { variables: "lost", reason: "timeout_kill", incarnation } });
    expect(await run("pgrep -c sleep; pgrep -xc bash")).toMatchObject({ stdout: "0\n1\n" });
  });
});
