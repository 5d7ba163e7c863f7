import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startClient, type TestClient } from "../helpers/client.ts";
import { guardAgainstLeaks } from "../helpers/containers.ts";

guardAgainstLeaks();

/** What of the system's files no reply may hold. */
const SECRET = /root:x:0:0/;
const CODES = ["invalid_argument", "permission_denied", "not_found", "already_exists", "busy", "limit_exceeded", "too_large"];

let client: TestClient;
let sandboxId: string;
beforeAll(async () => {
  client = await startClient(undefined, ["--tools", "core,files"]);
  sandboxId = (await client.run(PLANT)).structured.sandbox_id;
});
afterAll(async () => await client.close());

const PLANT = `
import os
os.makedirs('real/deep', exist_ok=True)
open('real/passwd', 'w').write('inside')
for name, target in {'etc': '/etc', 'root': '/', 'up': '..', 'proc': '/proc/self/root', 'cwd': '/proc/self/cwd', 'fd': '/proc/self/fd',
                     'passwd': '/etc/passwd', 'loop': 'loop', 'dots': '../' * 30 + 'etc', 'zero': '/dev/zero'}.items():
    os.symlink(target, name)
os.mkfifo('fifo')
`;

const NAMES = [
  "/etc/passwd",
  "//etc/passwd",
  "../../etc/passwd",
  "../../../../../../etc/passwd",
  "real/../../../etc/passwd",
  "/home/user/../../etc/passwd",
  "/mnt/data/../../etc/passwd",
  "/tmp/../etc/passwd",
  "/proc/self/root/etc/passwd",
  "/proc/1/root/etc/passwd",
  "/dev/fd/0",
  "etc/passwd",
  "root/etc/passwd",
  "up/../etc/passwd",
  "up/user/passwd",
  "proc/etc/passwd",
  "cwd/etc/passwd",
  "fd/0",
  "passwd",
  "passwd/",
  "passwd/.",
  "loop",
  "loop/x",
  "dots/passwd",
  "zero",
  "fifo",
  "/HOME/user/passwd",
  "nul\0",
  "x".repeat(256),
  "a/".repeat(2_500),
  "..\\..\\etc\\passwd",
];

/** Beneath the files of a sandbox, as a host may write them. */
const ENCODED = [
  "/etc/passwd",
  "/../../etc/passwd",
  "/home/user/%2e%2e/%2e%2e/etc/passwd",
  "/home/user/..%2f..%2fetc%2fpasswd",
  "/home/user/%252e%252e/%252e%252e/etc/passwd",
  "/home/user/etc%2fpasswd",
  "/home/user/passwd",
  "/home/user/passwd%00.txt",
  "/home/user/%ff",
  "/home/user/%",
  "%2fetc%2fpasswd",
  "/home/user/root/etc/passwd",
  "/proc/self/environ",
  "/home/user/%5c..%5cetc",
];

const calls = (path: string): [tool: string, args: Record<string, unknown>][] => [
  ["read_file", { path }],
  ["read_file", { path, encoding: "base64", limit_bytes: 4_096 }],
  ["list_directory", { path }],
  ["write_file", { path: `${path}/planted`, content: "planted" }],
  ["edit_file", { path, edits: [{ old_text: "root:x", new_text: "root::" }] }],
  ["move_file", { source: path, destination: "copied", copy: true, overwrite: true }],
  ["move_file", { source: "real/passwd", destination: `${path}/planted`, copy: true }],
  ["make_directory", { path: `${path}/planted` }],
  ["search_files", { pattern: "root:x", path }],
];

describe("names that try to lead out", () => {
  it.each(NAMES)("%j: no tool gets beyond it", async (path) => {
    for (const [tool, args] of calls(path)) {
      const reply = await client.call(tool, args);
      const told = JSON.stringify([reply.structured, reply.text]);
      expect(told, tool).not.toMatch(SECRET);
      expect(Buffer.from(String(reply.structured?.content ?? ""), "base64").toString(), tool).not.toMatch(SECRET);
      // A copy of a link is a link, which leads nobody who comes by these tools.
      if (reply.isError) expect(CODES, `${tool}: ${reply.text}`).toContain(reply.error?.code);
    }
  });

  it.each(ENCODED)("%s: no resource gets beyond it", async (path) => {
    const uri = `kernelbox://sandboxes/${sandboxId}/files${path}`;
    const read = await client.readResource(uri).then(
      (content) => JSON.stringify(content),
      (error) => String(error.message),
    );
    expect(read).not.toMatch(SECRET);
    expect((await client.call("read_file", { path: uri })).text).not.toMatch(SECRET);
  });

  it("are of no more use while code swaps a folder for a link", async () => {
    await client.run(
      "import threading, ctypes\nlibc = ctypes.CDLL(None)\nos.makedirs('door', exist_ok=True); open('door/passwd', 'w').write('inside')\nif not os.path.islink('trap'): os.symlink('/etc', 'trap')\nswapping = True\ndef swap():\n    while swapping: libc.renameat2(-100, b'door', -100, b'trap', 2)\nthreading.Thread(target=swap, daemon=True).start()",
    );
    const seen = { inside: 0, refused: 0 };
    for (let n = 0; n < 400 || (Math.min(seen.inside, seen.refused) === 0 && n < 4_000); n++) {
      const reply = await client.call("read_file", { path: "door/passwd" });
      expect(reply.text).not.toMatch(SECRET);
      if (reply.structured?.content === "inside") seen.inside++;
      else seen.refused++;
      if (n % 20 === 0) {
        const found = await client.call("search_files", { pattern: "root:x|inside", path: "door" });
        expect(JSON.stringify(found.structured ?? null)).not.toMatch(SECRET);
        await client.call("write_file", { path: "door/planted", content: "x" });
      }
    }
    expect(seen.inside).toBeGreaterThan(0);
    expect(seen.refused).toBeGreaterThan(0);
    await client.run("swapping = False");
  });
});
