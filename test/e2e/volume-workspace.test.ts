import { expect, it } from "vitest";
import { startClient, TEST_IMAGE } from "../helpers/client.ts";
import { kernelbox } from "../helpers/command.ts";
import { docker, eventually, guardAgainstLeaks, isOurs } from "../helpers/containers.ts";

guardAgainstLeaks();

const FLAGS = ["--workspace-on", "volume", "--memory", "512", "--workspace", "1024"];
const LEASE_S = 5;

/** Each volume of ours bears its container's labels. */
const volumes = async () => (await docker.listVolumes()).Volumes.filter(({ Labels }) => isOurs(Labels)).map(({ Name }) => Name);

it("a sandbox on a volume holds a file larger than its memory, and leaves nothing when the server closes", async () => {
  const client = await startClient(undefined, FLAGS);
  const reply = await client.run(
    "import os\nwith open('big', 'wb') as f:\n    for n in range(700): f.write(bytes(1 << 20))\nos.path.getsize('big') >> 20",
  );
  expect(reply.structured).toMatchObject({ status: "ok", result: "700" });
  const listed = await client.call("list_directory");
  expect(listed.structured.entries).toMatchObject([{ name: "big", size_bytes: 700 << 20 }]);
  expect(await volumes()).toHaveLength(1);
  await client.close();
  await eventually(volumes, (left) => left.length === 0, 15_000);
});

it("a file of it is bounded for code and for a caller", async () => {
  await using client = await startClient(undefined, ["--workspace-on", "volume", "--workspace", "16"]);
  const full = await client.run(
    "import errno\ntry:\n    open('big', 'wb').write(bytes(17 << 20))\nexcept OSError as e: name = errno.errorcode[e.errno]\nname in ('EFBIG', 'ENOSPC')",
  );
  expect(full.structured.result).toBe("True");
  const content = "x".repeat(4 << 20);
  for (let n = 0; n < 3; n++) expect((await client.call("write_file", { path: "log", content, append: true })).isError).toBe(false);
  const refused = await client.call("write_file", { path: "log", content: `${content}x`, append: true });
  expect(refused.error).toMatchObject({ code: "limit_exceeded" });
});

it("its volume goes with the lease of a server that was killed", async () => {
  const client = await startClient(undefined, [...FLAGS, "--lease", String(LEASE_S)]);
  expect((await client.run("open('file', 'w').write('x')")).isError).toBe(false);
  expect(await volumes()).toHaveLength(1);
  process.kill(client.pid, "SIGKILL");
  await eventually(volumes, (left) => left.length === 0, (LEASE_S + 15) * 1_000);
  await client.close().catch(() => {});
});

it("doctor says whether it is bounded", async () => {
  const { stdout, code } = await kernelbox(["doctor", "--image", TEST_IMAGE, ...FLAGS]);
  expect(stdout).toMatch(
    /^(ok {2} {2}workspace: on a volume of 1024 MiB|FAIL {2}workspace: on a volume without a size bound; .* 1024 MiB\n {6}mend: .+)$/m,
  );
  expect(code).toBe(stdout.includes("FAIL") ? 1 : 0);
});
