import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { LIMITS } from "../../src/limits.ts";
import { startClient, type TestClient } from "../helpers/client.ts";
import { guardAgainstLeaks } from "../helpers/containers.ts";

guardAgainstLeaks();

let client: TestClient;
beforeAll(async () => {
  client = await startClient();
});
afterAll(async () => await client.close());

const FILL = `
import os
def fill():
    with open('fill', 'wb') as f:
        try:
            while True: f.write(bytes(1 << 20)); f.flush()
        except OSError: pass
    with open('fill2', 'wb') as f:
        try:
            while True: f.write(bytes(4096)); f.flush()
        except OSError: pass
def parts(): return [n for n in os.listdir('.') if '.kernelbox-' in n]
`;

describe("a full disk", () => {
  it("costs neither the old content nor leaves a part, whoever writes", async () => {
    await client.call("write_file", { path: "kept.txt", content: "old" });
    await client.run(`${FILL}\nfill()`);
    for (const args of [{}, { append: true }]) {
      const reply = await client.call("write_file", { path: "kept.txt", content: "n".repeat(100_000), ...args });
      expect(reply.error).toMatchObject({ code: "limit_exceeded", hint: expect.stringMatching(/Remove/) });
      expect((await client.call("read_file", { path: "kept.txt" })).structured.content).toBe("old");
    }
    expect((await client.call("write_file", { path: "new.txt", content: "n".repeat(100_000) })).error?.code).toBe("limit_exceeded");
    expect((await client.run("parts(), os.path.exists('new.txt')")).structured.result).toBe("([], False)");
    await client.run("for n in ('fill', 'fill2'): os.remove(n)");
    expect((await client.call("write_file", { path: "kept.txt", content: "new" })).isError).toBe(false);
  });
});

describe("a file that is at work", () => {
  it("is never a mix of two contents that is said to be whole", async () => {
    const size = 30_000_000;
    await client.run(`n = 0\nopen('busy.bin', 'wb').write(b'a' * ${size})`);
    const writing = client.run(
      `import time\nend = time.time() + 5\nwhile time.time() < end:\n    n += 1\n    with open('busy.bin', 'r+b') as f: f.write((b'a' if n % 2 else b'b') * ${size})\n    time.sleep(0.002)`,
    );
    const seen = { whole: 0, busy: 0 };
    const until = Date.now() + 4_000;
    while (Date.now() < until) {
      // All of it by lines: one, and longer than a reply, so that its end is looked for.
      const reply = await client.call("read_file", { path: "busy.bin", offset: 2 });
      expect(reply.isError).toBe(true);
      expect(["busy", "invalid_argument"]).toContain(reply.error?.code);
      if (reply.error?.code === "busy") seen.busy++;
      else seen.whole++;
    }
    expect(seen.busy).toBeGreaterThan(0);
    await writing;
    expect((await client.call("read_file", { path: "busy.bin", offset: 2 })).error?.code).toBe("invalid_argument");
  });

  it("and only grows, like a log, reads as far as it was", async () => {
    const writing = client.run(
      "import time\nend = time.time() + 3\nwith open('log.txt', 'w', buffering=1) as f:\n    n = 0\n    while time.time() < end:\n        n += 1; print('line', n, file=f)",
    );
    await new Promise((resolve) => setTimeout(resolve, 300));
    for (let n = 0; n < 10; n++) {
      const reply = await client.call("read_file", { path: "log.txt", limit: 100_000 });
      expect(reply.isError, reply.text).toBe(false);
      const lines = reply.structured.content.trimEnd().split("\n");
      expect(lines[0]).toBe("line 1");
    }
    await writing;
  });

  it("and is gone, or another one, at the next call says so, or reads as what it is", async () => {
    await client.call("write_file", { path: "comes.txt", content: "one" });
    await client.run("import os; os.remove('comes.txt')");
    expect((await client.call("read_file", { path: "comes.txt" })).error).toMatchObject({
      code: "not_found",
      hint: expect.stringContaining("list_directory"),
    });
    await client.run("os.mkdir('comes.txt')");
    expect((await client.call("read_file", { path: "comes.txt" })).error).toMatchObject({
      code: "invalid_argument",
      hint: expect.stringContaining("list_directory"),
    });
    expect((await client.call("write_file", { path: "comes.txt", content: "x" })).error?.code).toBe("invalid_argument");
  });
});

describe("what is no regular file", () => {
  it.each([
    ["a pipe", "os.mkfifo('pipe')", "pipe", "invalid_argument"],
    ["a socket", "import socket; socket.socket(socket.AF_UNIX).bind('sock')", "sock", "invalid_argument"],
    ["a link to a device", "os.symlink('/dev/zero', 'zero')", "zero", "invalid_argument|permission_denied"],
    ["a link to a file", "open('target', 'w').close(); os.symlink('target', 'link')", "link", "invalid_argument|permission_denied"],
    ["a folder", "os.mkdir('folder')", "folder", "invalid_argument"],
    ["what lies beneath a file", "open('plain', 'w').close()", "plain/below", "invalid_argument|permission_denied"],
  ])("%s is neither read nor written, at once and with the next step", async (_, make, path, codes) => {
    await client.run(`import os\n${make}`);
    const startedAt = Date.now();
    for (const [tool, args] of [
      ["read_file", { path }],
      ["read_file", { path, encoding: "base64" }],
      ["write_file", { path, content: "x" }],
      ["write_file", { path, content: "x", append: true }],
    ] as const) {
      const reply = await client.call(tool, args);
      expect(reply.error?.code, `${tool}: ${reply.text}`).toMatch(new RegExp(`^(${codes})$`));
      expect(reply.error?.hint).not.toBe("");
    }
    expect(Date.now() - startedAt).toBeLessThan(5_000);
  });
});

describe("a range", () => {
  it("past the end says where the end is", async () => {
    await client.call("write_file", { path: "three.txt", content: "1\n2\n3\n" });
    expect((await client.call("read_file", { path: "three.txt", offset: 4 })).error).toMatchObject({
      code: "invalid_argument",
      message: "The text has 3 lines; there is no line 4.",
    });
    expect((await client.call("read_file", { path: "three.txt", offset_bytes: 7 })).error).toMatchObject({
      code: "invalid_argument",
      message: "offset_bytes 7 lies behind the end at 6.",
    });
    expect((await client.call("read_file", { path: "three.txt", offset_bytes: 6 })).structured.content).toBe("");
    for (const args of [{ limit: 0 }, { offset: 0 }, { limit_bytes: 0 }, { offset_bytes: -1 }, { offset: 1.5 }]) {
      expect((await client.call("read_file", { path: "three.txt", ...args })).error?.code, JSON.stringify(args)).toBe("invalid_argument");
    }
    await client.call("write_file", { path: "empty.txt", content: "" });
    expect((await client.call("read_file", { path: "empty.txt", offset: 1 })).structured).toMatchObject({ content: "", lines: 0 });
  });
});

describe("a call with too much, or for somebody else", () => {
  it("is refused with the bound, and the way round it", async () => {
    const reply = await client.call("write_file", { path: "big.txt", content: "x".repeat(LIMITS.writeFileBytes + 1) });
    expect(reply.error).toMatchObject({ code: "too_large", hint: expect.stringContaining("append") });
    const other = await client.call("read_file", { path: "kernelbox://sandboxes/sbx_somebodyelses/files/home/user/kept.txt" });
    expect(other.error).toMatchObject({ code: "not_found" });
    const written = await client.call("write_file", { path: "kernelbox://sandboxes/sbx_somebodyelses/files/home/user/x", content: "x" });
    expect(written.error).toMatchObject({ code: "not_found" });
  });
});
