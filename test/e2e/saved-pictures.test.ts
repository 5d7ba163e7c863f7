import { mkdtemp, readdir, readFile, realpath, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startClient, type TestClient } from "../helpers/client.ts";
import { guardAgainstLeaks } from "../helpers/containers.ts";

guardAgainstLeaks();

let client: TestClient;
let folder: string;
beforeAll(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), "kernelbox-saved-")));
  client = await startClient(undefined, ["--save-dir", folder]);
});
afterAll(async () => {
  await client.close();
  await rm(folder, { recursive: true });
});

const PLOTS = (count: number) =>
  `import matplotlib.pyplot as plt\nfor n in range(${count}):\n    plt.figure(figsize=(1, 1)); plt.plot([n, 1]); plt.show()`;

describe("--save-dir", () => {
  it("gets each picture that code shows, whole, and the reply says where", async () => {
    const reply = await client.run(
      `${PLOTS(2)}\nfrom IPython.display import SVG, display\ndisplay(SVG('<svg xmlns="http://www.w3.org/2000/svg"/>'))`,
    );
    const { execution_id: id, outputs, notices } = reply.structured;
    const names = [`${id}-1.png`, `${id}-2.png`, `${id}-3.svg`];
    expect(await readdir(folder)).toEqual(names);
    expect(notices.join()).toContain(`3 pictures were also written into ${folder} on the user's machine: ${names.join(", ")}.`);
    expect(reply.text).toContain(names[0]);
    const first = await readFile(join(folder, names[0] ?? ""));
    expect(first.toString("base64")).toBe((await client.readResource(outputs[0].uri)).blob);
    expect((await stat(join(folder, names[0] ?? ""))).mode & 0o7777).toBe(0o644);
  });

  it("gets more than a reply shows, also of code in the background and of code that fails", async () => {
    const started = await client.run(`${PLOTS(60)}\n1 / 0`, { background: true });
    const id = started.structured.execution_id;
    const ended = await client.call("get_execution", { execution_id: id, wait_s: 50 });
    expect(ended.structured.status).toBe("error");
    expect((await readdir(folder)).filter((name) => name.startsWith(id))).toHaveLength(60);
    expect(ended.structured.notices.join()).toMatch(/60 pictures were also written .*, …\./);
  });

  it("gets of a display that is updated what it shows last, and nothing of what was cleared", async () => {
    const { structured } = await client.run(
      "from IPython.display import display, clear_output, Image\nimport io, matplotlib.pyplot as plt\ndef picture(n):\n    f = plt.figure(figsize=(n, 1)); b = io.BytesIO(); f.savefig(b); plt.close(f); return Image(b.getvalue())\nh = display(picture(1), display_id=True)\nfor n in (2, 3): h.update(picture(n))",
    );
    expect((await readdir(folder)).filter((name) => name.startsWith(structured.execution_id))).toEqual([
      `${structured.execution_id}-1.png`,
    ]);
    const saved = await readFile(join(folder, `${structured.execution_id}-1.png`));
    expect(saved.readUInt32BE(16)).toBe(300);
    const cleared = await client.run("display(picture(1))\nclear_output()\nprint('gone')");
    expect((await readdir(folder)).filter((name) => name.startsWith(cleared.structured.execution_id))).toEqual([]);
  });

  it("gets nothing that only says it is a picture", async () => {
    const { structured } = await client.run(
      "from IPython.display import publish_display_data\npublish_display_data({'image/png': 'bm8gcGljdHVyZQ=='})",
    );
    expect((await readdir(folder)).filter((name) => name.startsWith(structured.execution_id))).toEqual([]);
  });

  it("costs no execution where it cannot be written any more", async () => {
    await rm(folder, { recursive: true });
    await writeFile(folder, "");
    const reply = await client.run(`${PLOTS(2)}\n'done'`);
    expect(reply.structured).toMatchObject({ status: "ok", result: "'done'" });
    expect(reply.structured.notices.join()).toContain(`A picture could not be written into ${folder}`);
  });
});
