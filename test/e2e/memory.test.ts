import { describe, expect, it } from "vitest";
import { startClient } from "../helpers/client.ts";
import { eventually, guardAgainstLeaks } from "../helpers/containers.ts";

guardAgainstLeaks();

const SMALL = ["--memory", "320", "--workspace", "64"];
const HOG = "hog = []\nwhile True:\n    hog.append(bytearray(8 * 2**20))";
const FACTS = /limit 320 MiB, the sandbox's peak 3[12]\d MiB/;

describe("a kernel that takes all memory", () => {
  it("is told with limit and peak, in the reply and to whoever comes after it", async () => {
    await using client = await startClient(undefined, SMALL);
    const { context_id } = (await client.call("create_context")).structured;
    const reply = await client.run(HOG, { context_id });
    expect(reply.structured).toMatchObject({ status: "died", state: { reason: "out_of_memory", message: expect.stringMatching(FACTS) } });
    const later = await client.run(`import threading\nthreading.Timer(0.3, lambda: exec(${JSON.stringify(HOG)}, {})).start()`, {
      context_id,
    });
    expect(later.structured.state.variables).toBe("kept");
    await eventually(
      () => client.call("get_context", { context_id }),
      (seen) => seen.structured.state === "dead",
      15_000,
    );
    const told = await client.run("1", { context_id });
    expect(told.text.split("\n")[0]).toMatch(/before this call are lost: the kernel used more memory/);
    expect(told.structured.state).toMatchObject({ reason: "out_of_memory", message: expect.stringMatching(FACTS) });
  });

  it("is not what killed another context, then or later", async () => {
    await using client = await startClient(undefined, SMALL);
    const ids: string[] = [];
    for (let n = 0; n < 3; n++) ids.push((await client.call("create_context")).structured.context_id);
    const [hog, victim, bystander] = ids as [string, string, string];
    await client.run("x = 1", { context_id: bystander });
    // Idle since before the kill, and itself killed a moment after it.
    const pid = (await client.run("import os\nos.getpid()", { context_id: victim })).structured.result;
    expect((await client.run(HOG, { context_id: hog })).structured.state.reason).toBe("out_of_memory");
    await client.run(`import os\nos.kill(${pid}, 9)`, { context_id: bystander });
    await eventually(
      () => client.call("get_context", { context_id: victim }),
      (seen) => seen.structured.state === "dead",
      5_000,
    );
    const told = await client.run("1", { context_id: victim });
    expect(told.structured.state).toMatchObject({ reason: "killed", message: expect.stringContaining("signal 9 (SIGKILL)") });
    expect((await client.run("x", { context_id: bystander })).structured).toMatchObject({ result: "1", state: { variables: "kept" } });
  });
});

describe("more contexts than memory allows", () => {
  it.each([
    ["one after the other", false],
    ["at once", true],
  ])("are refused with numbers, %s, and none of those that are there pays for it", async (_, atOnce) => {
    await using client = await startClient(undefined, SMALL);
    const make = () => client.call("create_context");
    const first = (await client.run("kept = 1")).structured.context_id;
    const replies = atOnce ? await Promise.all(Array.from({ length: 30 }, make)) : [];
    for (let n = 0; n < 30 && !atOnce && !replies.some((reply) => reply.isError); n++) replies.push(await make());
    const refused = replies.find((reply) => reply.isError);
    expect(refused?.error).toMatchObject({
      code: "limit_exceeded",
      message: expect.stringMatching(/no memory for another kernel: \d+ MiB of its 320 MiB are free, and a kernel needs 64 MiB/),
      hint: expect.stringContaining("delete_context"),
    });
    const made = replies.filter((reply) => !reply.isError);
    expect(made.length).toBeGreaterThanOrEqual(3);
    for (const reply of made) {
      const { structured } = await client.run("1", { context_id: reply.structured.context_id });
      expect(structured).toMatchObject({ status: "ok", state: { variables: "kept", incarnation: 1 } });
    }
    expect((await client.run("kept", { context_id: first })).structured).toMatchObject({ result: "1", state: { variables: "kept" } });
    await client.call("delete_context", { context_id: made[0]?.structured.context_id });
    expect((await make()).isError).toBe(false);
  });
});
