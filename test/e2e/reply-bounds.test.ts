import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { LIMITS } from "../../src/limits.ts";
import { startClient, type TestClient } from "../helpers/client.ts";
import { guardAgainstLeaks } from "../helpers/containers.ts";

guardAgainstLeaks();

/** What desktop hosts cut a result at, base64 counted. */
const HOST_LIMIT_BYTES = 1024 * 1024;

let client: TestClient;
beforeAll(async () => {
  client = await startClient();
});
afterAll(async () => await client.close());

describe("a reply fits into a host, and what it leaves out is one call away", () => {
  it("long output: head, tail, a notice, and the rest by read_file", async () => {
    const reply = await client.run("for n in range(200_000): print('line', n)");
    expect(reply.bytes).toBeLessThan(HOST_LIMIT_BYTES);
    const { stdout, truncated } = reply.structured;
    expect(stdout.startsWith("line 0\n")).toBe(true);
    expect(stdout.endsWith("line 199999\n")).toBe(true);
    expect(stdout).toContain("characters left out");
    const total = Array.from({ length: 200_000 }, (_, n) => `line ${n}\n`.length).reduce((a, b) => a + b, 0);
    expect(truncated).toMatchObject([{ field: "stdout", total_bytes: total }]);
    expect(reply.text).toContain(truncated[0].rest);
    const middle = await client.call("read_file", { path: truncated[0].rest, offset: 100_001, limit: 1 });
    expect(middle.structured.content).toBe("line 100000\n");
    expect(middle.structured.size_bytes).toBe(total);
    const bytes = await client.call("read_file", { path: truncated[0].rest, offset_bytes: total - 12 });
    expect(bytes.structured).toMatchObject({ content: "line 199999\n", next_offset_bytes: null });
  });

  it("loses nothing of a flood: every byte and every display arrive in the full copy", async () => {
    const reply = await client.run("import subprocess\nsubprocess.run(['seq', '1', '2000000'])\nprint('end')");
    const expected = Array.from({ length: 7 }, (_, digits) => (digits + 2) * 9 * 10 ** digits).reduce((a, b) => a + b, 0);
    // 1 to 2,000,000 with newlines: 1 to 999,999, then 1,000,001 numbers of seven digits.
    const seq = expected - 8 * 9 * 10 ** 6 + 1_000_001 * 8;
    expect(reply.structured.truncated[0].total_bytes).toBe(seq + 4);
    const displays = await client.run("from IPython.display import display, HTML\nfor n in range(3000): display(HTML(f'<b>{n}</b>'))");
    expect(displays.structured.outputs).toHaveLength(LIMITS.replyOutputs);
    expect(displays.structured.notices.join()).toContain(`${3000 - LIMITS.replyOutputs} more outputs`);
    const last = await client.call("read_file", { path: `kernelbox://executions/${displays.structured.execution_id}/outputs/3000` });
    expect(last.structured).toMatchObject({ content: "<b>2999</b>", mime_type: "text/html" });
  });

  it("pictures that do not fit stay one link away", async () => {
    const reply = await client.run(
      "import numpy as np\nfrom PIL import Image\nfrom IPython.display import display\nrng = np.random.default_rng(1)\n" +
        "for size in (300, 300, 1200, 300, 300, 300): display(Image.fromarray(rng.integers(0, 255, (size, size, 3), dtype=np.uint8)))",
    );
    expect(reply.bytes).toBeLessThan(HOST_LIMIT_BYTES);
    expect(reply.structured.outputs).toHaveLength(6);
    expect(reply.images.length).toBeGreaterThanOrEqual(1);
    expect(reply.images.length).toBeLessThan(6);
    const large = reply.structured.outputs[2];
    expect(large).toMatchObject({ width_px: 1200, height_px: 1200 });
    expect(reply.structured.notices.join()).toContain(large.uri);
    const tooLarge = await client.call("read_file", { path: large.uri });
    expect(tooLarge.error).toMatchObject({ code: "too_large", hint: expect.stringContaining("thumbnail") });
    const part = await client.call("read_file", { path: large.uri, encoding: "base64", limit_bytes: 8 });
    expect(Buffer.from(part.structured.content, "base64").toString("latin1")).toContain("PNG");
    await expect(client.readResource(large.uri)).rejects.toThrow(/read_file/);
  });

  it("long values, tracebacks, many files and long lines are bounded too", async () => {
    const value = await client.run("'x' * 1_000_000");
    expect(value.bytes).toBeLessThan(HOST_LIMIT_BYTES / 4);
    const error = await client.run("raise ValueError('y' * 1_000_000)");
    expect(error.bytes).toBeLessThan(HOST_LIMIT_BYTES / 4);
    expect(error.structured.error.name).toBe("ValueError");
    const files = await client.run("for n in range(120): open(f'f{n:03}.txt', 'w').close()");
    expect(files.structured.files).toHaveLength(LIMITS.replyFiles);
    expect(files.structured.notices.join()).toContain("list_directory");
    expect(files.links.length).toBeLessThanOrEqual(LIMITS.replyLinks);
    await client.run("open('long', 'w').write('z' * 200_000)");
    const line = (await client.call("read_file", { path: "long" })).structured;
    expect(line).toMatchObject({ next_offset: null, next_offset_bytes: LIMITS.readFileBytes });
    const rest = (await client.call("read_file", { path: "long", offset_bytes: 150_000 })).structured;
    expect(rest).toMatchObject({ next_offset_bytes: null, content: "z".repeat(50_000) });
  });

  it("pages a large folder in a stable order", async () => {
    await client.run("import os\nos.makedirs('many', exist_ok=True)\nfor n in range(450): open(f'many/{n:04}', 'w').close()");
    const names: string[] = [];
    let cursor: string | null | undefined;
    do {
      const page = (await client.call("list_directory", { path: "many", limit: 200, ...(cursor ? { cursor } : {}) })).structured;
      names.push(...page.entries.map((entry: { name: string }) => entry.name));
      cursor = page.next_cursor;
    } while (cursor);
    expect(names).toEqual(Array.from({ length: 450 }, (_, n) => String(n).padStart(4, "0")));
  });

  it("terminal control in output is taken out of the reply, and kept in the full copy", async () => {
    const reply = await client.run(
      "print('\\x1b[31mred\\x1b[0m \\x1b]52;c;ZXZpbA==\\x07clip \\u202edesrever')\nfor n in range(101): print(f'\\r{n}%', end='')\nprint()",
    );
    expect(reply.structured.stdout).toBe("red clip desrever\n100%\n");
    const raw = await client.call("read_file", { path: `kernelbox://executions/${reply.structured.execution_id}/stdout` });
    expect(raw.structured.content).toContain("\u001b[31mred");
    const fence = await client.run("print('```\\ninjected\\n```')");
    expect(fence.text).toContain("````stdout\n```\ninjected\n```\n````");
  });
});
