import { describe, expect, it } from "vitest";
import { changesSchema } from "../../src/sandboxes/supervisor-schemas.ts";
import { guardAgainstLeaks } from "../helpers/containers.ts";
import { startSandbox } from "../helpers/sandbox.ts";

guardAgainstLeaks();

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

describe("a wait for changes", () => {
  it("outlives a channel that breaks, and misses nothing", async () => {
    await using box = await startSandbox();
    const context = await box.context();
    const ask = async (since: number) => await box.sandbox.request("file.changes", { since, wait_s: 10 }, changesSchema);
    const first = await ask(0);
    // The supervisor is closed to user code, and yet reaches its own descriptors in /proc.
    expect(first).toMatchObject({ changes: [], is_complete: false, via: "inotify" });
    const waiting = ask(first.seq);
    await pause(100);
    box.stream().destroy();
    await (await box.start(context, "import os\nos.makedirs('a/b')\nopen('a/b/c', 'w').write('x')")).ended;
    const told = await waiting;
    expect(told.is_complete).toBe(true);
    const changes = [...told.changes];
    for (let since = told.seq; !changes.some(({ path }) => path === "/home/user/a/b/c"); ) {
      const more = await ask(since);
      changes.push(...more.changes);
      since = more.seq;
    }
    expect(changes.find(({ path }) => path === "/home/user/a/b/c")?.change).toBe("created");
  });

  it("costs nothing else its turn", async () => {
    await using box = await startSandbox();
    const context = await box.context();
    const first = await box.sandbox.request("file.changes", { since: 0, wait_s: 0 }, changesSchema);
    const abort = new AbortController();
    const waiting = box.sandbox.request("file.changes", { since: first.seq, wait_s: 20 }, changesSchema, { signal: abort.signal });
    await (await box.start(context, "1")).ended;
    abort.abort();
    await expect(waiting).rejects.toMatchObject({ code: "cancelled" });
  });
});
