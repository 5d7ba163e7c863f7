import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { pictureSize } from "../../src/events/picture-size.ts";
import { LIMITS } from "../../src/limits.ts";
import { startClient, type TestClient } from "../helpers/client.ts";
import { guardAgainstLeaks } from "../helpers/containers.ts";

guardAgainstLeaks();

let client: TestClient;
beforeAll(async () => {
  client = await startClient();
});
afterAll(async () => await client.close());

describe("a reply fits into a host, and what it leaves out is one call away", () => {
  it("long output: head, tail, a notice, and the rest by read_file", async () => {
    const reply = await client.run("for n in range(200_000): print('line', n)");
    expect(reply.bytes).toBeLessThan(LIMITS.replyBytes);
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

  it("pictures over the pixels or the bytes of a reply are shown smaller, and are whole one link away", async () => {
    const plot = await client.run(
      "import matplotlib.pyplot as plt\nplt.figure(figsize=(12, 8), dpi=300)\nplt.plot([1, 3, 2])\nplt.savefig('wide.png')\nplt.show()",
    );
    expect(plot.images).toHaveLength(1);
    const [output] = plot.structured.outputs;
    expect(output.width_px).toBeGreaterThan(2_000);
    expect(pictureSize(Buffer.from(plot.images[0]?.data ?? "", "base64"))?.widthPx).toBe(LIMITS.replyImagePixels);
    expect(plot.structured.notices).toEqual([
      expect.stringMatching(/^Picture 1 \(\d+ × \d+ px, \d+ bytes\) is shown at 2000 × \d+ px; whole: kernelbox:/),
    ]);
    const file = await client.call("read_file", { path: "wide.png" });
    expect(pictureSize(Buffer.from(file.images[0]?.data ?? "", "base64"))?.widthPx).toBe(LIMITS.replyImagePixels);
    expect(file.text).toContain("It is shown at 2000");

    const many = await client.run(
      "import numpy as np\nfrom PIL import Image\nfrom IPython.display import display\nrng = np.random.default_rng(1)\n" +
        "for size in (100, 1200, 600, 600): display(Image.fromarray(rng.integers(0, 255, (size, size, 3), dtype=np.uint8)))",
    );
    expect(many.bytes).toBeLessThan(LIMITS.replyBytes);
    expect(many.images).toHaveLength(4);
    expect(many.structured.notices).toHaveLength(3);
  });

  it("a picture that nobody can decode, or that would fill the memory, is left out and said", async () => {
    const reply = await client.run(
      "import base64, io\nfrom PIL import Image\nfrom IPython.display import display\n" +
        "bomb = io.BytesIO()\nImage.new('1', (40_000, 40_000)).save(bomb, 'PNG')\nbroken = io.BytesIO()\nImage.effect_noise((2500, 300), 90).save(broken, 'PNG')\n" +
        "for data in (bomb.getvalue(), broken.getvalue()[:50_000]): display({'image/png': base64.b64encode(data).decode()}, raw=True)",
    );
    expect(reply.images).toEqual([]);
    expect(reply.structured.notices).toEqual([expect.stringMatching(/^Pictures 1, 2 are too large for this reply: /)]);
    expect(reply.text).toContain("Output 1: image/png, 40000 × 40000 px");
    expect((await client.run("1 + 1")).structured.result).toBe("2");
  });

  it("pictures whose sandbox cannot make them smaller stay one link away", async () => {
    const reply = await client.run(
      "import numpy as np\nfrom PIL import Image\nfrom IPython.display import display\nrng = np.random.default_rng(1)\n" +
        "for size in (300, 8000): display(Image.fromarray(np.tile(rng.integers(0, 255, (80, 80, 3), dtype=np.uint8), (size // 80, size // 80, 1))))",
    );
    expect(reply.bytes).toBeLessThan(LIMITS.replyBytes);
    expect(reply.structured.outputs).toHaveLength(2);
    expect(reply.images).toHaveLength(1);
    const large = reply.structured.outputs[1];
    expect(large).toMatchObject({ width_px: 8000, height_px: 8000 });
    expect(reply.structured.notices.join()).toContain(large.uri);
    const tooLarge = await client.call("read_file", { path: large.uri });
    expect(tooLarge.error).toMatchObject({ code: "too_large", hint: expect.stringContaining("thumbnail") });
    const part = await client.call("read_file", { path: large.uri, encoding: "base64", limit_bytes: 8 });
    expect(Buffer.from(part.structured.content, "base64").toString("latin1")).toContain("PNG");
    await expect(client.readResource(large.uri)).rejects.toThrow(/read_file/);
  });

  it("long values, tracebacks, many files and long lines are bounded too", async () => {
    const value = await client.run("'x' * 1_000_000");
    expect(value.bytes).toBeLessThan(LIMITS.replyBytes / 4);
    const error = await client.run("raise ValueError('y' * 1_000_000)");
    expect(error.bytes).toBeLessThan(LIMITS.replyBytes / 4);
    expect(error.structured.error.name).toBe("ValueError");
    const files = await client.run("for n in range(120): open(f'f{n:03}.txt', 'w').close()");
    expect(files.structured.files).toHaveLength(LIMITS.replyFiles);
    expect(files.structured.notices.join()).toContain("list_directory");
    expect(files.links.length).toBeLessThanOrEqual(LIMITS.replyLinks);
    await client.run("open('long', 'w').write('z' * 200_000)");
    const line = (await client.call("read_file", { path: "long" })).structured;
    expect(line).toMatchObject({ next_offset: null, next_offset_bytes: LIMITS.readFileBytes });
    await client.call("write_file", { path: "lines", content: "x\n".repeat(LIMITS.readFileLines + 1) });
    expect((await client.call("read_file", { path: "lines" })).structured.next_offset).toBe(LIMITS.readFileLines + 1);
    const rest = (await client.call("read_file", { path: "long", offset_bytes: 150_000 })).structured;
    expect(rest).toMatchObject({ next_offset_bytes: null, content: "z".repeat(50_000) });
  });

  it("a value and an error that are shown in part name where the whole is", async () => {
    const value = await client.run("'x' * 100_000");
    expect(value.structured.truncated).toMatchObject([{ field: "result", total_bytes: 100_002 }]);
    const whole = await client.call("read_file", { path: value.structured.truncated[0].rest, offset_bytes: 90_000 });
    expect(whole.structured).toMatchObject({ size_bytes: 100_002, content: `${"x".repeat(10_001)}'`, mime_type: "text/plain" });
    const error = await client.run("raise ValueError('y' * 30_000)");
    expect(error.structured.truncated.map((cut: { field: string }) => cut.field)).toEqual(["error.value", "error.traceback"]);
    expect((await client.readResource(error.structured.truncated[0].rest)).text).toContain(`ValueError: ${"y".repeat(30_000)}`);
    const exact = await client.run("[2**53 + 1]");
    expect(exact.structured).toMatchObject({ result: "[9007199254740993]", result_json: null });
  });

  it("many files with long names, and outputs with much text", async () => {
    const reply = await client.run(
      "import os\nfrom IPython.display import display\nat = os.open('.', os.O_RDONLY)\nfor n in range(16):\n    os.mkdir('图' * 80, dir_fd=at)\n    at = os.open('图' * 80, os.O_RDONLY, dir_fd=at)\n" +
        "for n in range(150): os.close(os.open(f'{n:03}', os.O_CREAT | os.O_WRONLY, dir_fd=at))\n" +
        "for n in range(50): display({'text/html': '<b>', 'text/plain': '图' * 2000, **{f\"{'图' * 100}{i}/x\": '' for i in range(29)}}, raw=True)",
    );
    expect(reply.structured.status).toBe("ok");
    expect(reply.bytes).toBeLessThanOrEqual(LIMITS.replyBytes);
    // The look for changed files has little time. Where it ends early it says so, and without the files there may be room for the outputs.
    const expected = reply.structured.files.length > 0 ? /outputs do not fit/ : /too many files to tell/;
    expect(reply.structured.notices.join()).toMatch(expected);
    const listed = await client.call("list_directory", { depth: LIMITS.listDepth });
    expect(listed.bytes).toBeLessThanOrEqual(LIMITS.replyBytes);
    expect(listed.structured.next_cursor).not.toBeNull();
    await client.run("import shutil, os\nos.close(at)\nshutil.rmtree('图' * 80)");
  });

  it("a folder of long names comes in pages that fit, each name once", async () => {
    await client.run(
      "import os\nos.makedirs('wide', exist_ok=True)\nfor n in range(1000): open(b'wide/' + f'{n:04}'.encode() + '图'.encode() * 83, 'w').close()",
    );
    const names: string[] = [];
    let pages = 0;
    for (let cursor: string | null | undefined; cursor !== null; ) {
      const reply = await client.call("list_directory", { path: "wide", limit: LIMITS.listEntries.max, ...(cursor ? { cursor } : {}) });
      expect(reply.bytes).toBeLessThanOrEqual(LIMITS.replyBytes);
      names.push(...reply.structured.entries.map((entry: { name: string }) => entry.name.slice(0, 4)));
      cursor = reply.structured.next_cursor;
      pages++;
    }
    expect(names).toEqual(Array.from({ length: 1_000 }, (_, n) => String(n).padStart(4, "0")));
    expect(pages).toBe(2);
    await client.run("import shutil\nshutil.rmtree('wide')");
  });

  it("a resource that grows when it is escaped is refused with the way to read it", async () => {
    await client.run("open('colours.txt', 'w').write('\\x1b' * 500_000)\nopen('plain.txt', 'w').write('x' * 500_000)");
    const { sandbox_id } = (await client.run("1")).structured;
    const uri = (name: string) => `kernelbox://sandboxes/${sandbox_id}/files/home/user/${name}`;
    expect((await client.readResource(uri("plain.txt"))).text).toHaveLength(500_000);
    await expect(client.readResource(uri("colours.txt"))).rejects.toThrow(/read_file/);
    const part = await client.call("read_file", { path: uri("colours.txt") });
    expect(part.bytes).toBeLessThanOrEqual(LIMITS.replyBytes);
    expect(part.structured.next_offset_bytes).toBe(LIMITS.readFileBytes);
  });

  it("base64 and pictures of a file come up to their bounds", async () => {
    await client.run(
      `png = b'\\x89PNG\\r\\n\\x1a\\n'\nfor name, size in (('at', ${LIMITS.readFileImageBytes}), ('over', ${LIMITS.readFileImageBytes + 1})): open(name + '.png', 'wb').write(png + bytes(size - 8))`,
    );
    const first = await client.call("read_file", { path: "at.png", encoding: "base64" });
    expect(first.bytes).toBeLessThanOrEqual(LIMITS.replyBytes);
    expect(first.structured).toMatchObject({ mime_type: "image/png", offset_bytes: 0, next_offset_bytes: LIMITS.readFileBase64Bytes });
    const picture = await client.call("read_file", { path: "at.png" });
    expect(picture.images).toHaveLength(1);
    expect(picture.bytes).toBeLessThanOrEqual(LIMITS.replyBytes);
    expect((await client.call("read_file", { path: "over.png" })).error).toMatchObject({ code: "too_large" });
  });

  it("what only claims to be a picture is not handed to a model as one", async () => {
    const reply = await client.run(
      "from IPython.display import display\nimport base64\ndisplay({'image/png': base64.b64encode(b'no picture').decode()}, raw=True)\nopen('fake.png', 'w').write('no picture')\nopen('code.ts', 'w').write('let a = 1')",
    );
    expect(reply.images).toEqual([]);
    expect(reply.text).toContain("Output 1 is no image/png");
    expect(await client.readResource(reply.structured.outputs[0].uri)).toMatchObject({ mimeType: "text/plain", text: "no picture" });
    const uri = (name: string) => `kernelbox://sandboxes/${reply.structured.sandbox_id}/files/home/user/${name}`;
    expect(await client.readResource(uri("fake.png"))).toMatchObject({ mimeType: "text/plain", text: "no picture" });
    expect(await client.readResource(uri("code.ts"))).toMatchObject({ mimeType: "text/x-typescript", text: "let a = 1" });
    expect((await client.call("read_file", { path: "fake.png" })).structured).toMatchObject({
      mime_type: "text/plain",
      content: "no picture",
    });
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
