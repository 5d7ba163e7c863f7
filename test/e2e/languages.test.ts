import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { LANGUAGE_NAMES, LANGUAGES, type Language, type LanguageName } from "../../src/contexts/languages.ts";
import { type Reply, startClient, TEST_IMAGE, type TestClient } from "../helpers/client.ts";
import { guardAgainstLeaks } from "../helpers/containers.ts";
import { imageFor } from "../helpers/language-images.ts";
import { CASES } from "./language-cases.ts";

guardAgainstLeaks();

/** One contract for all languages: each case runs in each language that an image here has, and the table says what may differ. */
describe.each(LANGUAGE_NAMES)("%s", async (name) => {
  const image = await imageFor(name);
  const language: Language = LANGUAGES[name];
  const code = CASES[name];
  if (image.missing !== undefined) {
    it.skip(`not run: ${image.missing}`, () => {});
    return;
  }

  let client: TestClient;
  let context_id: string;
  const run = async (source: string, args: Record<string, unknown> = {}): Promise<Reply> =>
    await client.run(source, { context_id, ...args });
  beforeAll(async () => {
    client = await startClient("sdk 2, 2026-07-28", ["--image", image.ref]);
    const context = await client.call("create_context", { language: name, env: { KB_OF_CONTEXT: "ü €" }, cwd: "/home/user/wörk" });
    context_id = context.structured?.context_id;
    expect(context.structured, context.text).toMatchObject({ language: name, state: "idle", cwd: "/home/user/wörk" });
  });
  afterAll(async () => await client.close());

  it("keeps state between calls", async () => {
    await run(code.set);
    expect((await run(code.print)).structured).toMatchObject({ status: "ok", stdout: "41\n", error: null, state: { variables: "kept" } });
  });

  it("tells stdout and stderr apart", async () => {
    expect((await run(code.streams)).structured).toMatchObject({
      status: "ok",
      stdout: "to stdout\n",
      stderr: "to stderr\n",
      result: null,
    });
  });

  it.skipIf(!language.hasResult)("gives the value of the last expression", async () => {
    const reply = (await run(code.value?.source ?? "")).structured;
    expect(reply).toMatchObject({ status: "ok", result: code.value?.result, stdout: "" });
    expect(reply.execution_count).toBeGreaterThan(0);
  });

  it("reports an error with its name, its value and where", async () => {
    const { status, error, stdout } = (await run(code.error.source)).structured;
    expect({ status, stdout }).toEqual({ status: "error", stdout: "before\n" });
    expect(error).toMatchObject({ name: code.error.name, value: expect.stringContaining(code.error.value) });
    if (language.hasTraceback) expect(error.traceback).toContain(code.error.traceback);
    expect((await run(code.print)).structured.stdout).toBe("41\n");
  });

  it("takes a syntax error as an error, and lives", async () => {
    const { status, error } = (await run(code.syntaxError)).structured;
    expect(status).toBe("error");
    expect(`${error.name} ${error.value}`).toMatch(/syntax|unexpected|exitstatus/i);
    expect((await run(code.print)).structured.stdout).toBe("41\n");
  });

  it("stops by cancel_execution and keeps variables", async () => {
    const running = run(code.endless);
    await expect.poll(async () => (await client.call("get_context", { context_id })).structured.state).toBe("busy");
    await new Promise((resolve) => setTimeout(resolve, 300));
    const stopped = await client.call("cancel_execution", { context_id });
    expect(stopped.structured).toMatchObject({ outcome: "stopped", status: "cancelled", variables: "kept" });
    expect((await running).structured).toMatchObject({ status: "cancelled", error: null, state: { variables: "kept", incarnation: 1 } });
    expect((await run(code.print)).structured.stdout).toBe("41\n");
  });

  it("stops an endless loop and what it waits for at the timeout, and keeps what was said and set", async () => {
    for (const source of code.waiting === undefined ? [code.endless] : [code.endless, code.waiting]) {
      const reply = (await run(source, { timeout_s: 1 })).structured;
      expect(reply).toMatchObject({ status: "timeout", stdout: "begun\n", state: { variables: "kept", incarnation: 1 } });
      expect(reply.duration_ms).toBeLessThan(3_500);
    }
    expect((await run(code.print)).structured.stdout).toBe("41\n");
  });

  it.each(code.stuck ?? [])("is killed where nothing interrupts it, and says so: %s", async (source) => {
    expect(language.killedIn).toBeDefined();
    const other = (await client.call("create_context", { language: name })).structured.context_id;
    const reply = (await client.run(source, { context_id: other, timeout_s: 1 })).structured;
    expect(reply).toMatchObject({ status: "timeout", state: { variables: "lost", reason: "timeout_kill", incarnation: 2 } });
    expect((await client.run(code.set, { context_id: other })).structured).toMatchObject({ status: "ok", state: { variables: "kept" } });
    await client.call("delete_context", { context_id: other });
  });

  it("runs in the context's folder, with its environment", async () => {
    const reply = (await run(code.whereAndEnvironment)).structured;
    expect(reply.stdout).toBe("/home/user/wörk\nü €\n");
  });

  it(language.setsEnvBy === undefined ? "takes env for one run" : "refuses env for one run, before anything runs", async () => {
    const reply = await run(code.environment, { env: { KB_OF_RUN: "once ü" } });
    if (language.setsEnvBy === undefined) {
      expect(reply.structured).toMatchObject({ stdout: "once ü\n" });
      expect((await run(code.environment)).structured.stdout.trim()).toBe("");
    } else {
      expect(reply.error).toMatchObject({ code: "unsupported", message: expect.stringContaining(name) });
      expect(reply.error?.hint).toContain(language.setsEnvBy);
    }
  });

  it("takes and gives any character", async () => {
    const text = "ü € 😀 ﷽ 你好";
    expect((await run(code.say(text))).structured).toMatchObject({ status: "ok", stdout: `${text}\n` });
  });

  it("shows head and tail of 2 MB, and has the rest", async () => {
    const reply = await run(code.long);
    const { stdout, truncated } = reply.structured;
    expect(stdout.startsWith("first\n")).toBe(true);
    expect(stdout.endsWith("last\n")).toBe(true);
    expect(truncated).toEqual([
      expect.objectContaining({ field: "stdout", total_bytes: "first\n".length + 2_000_000 + "\nlast\n".length }),
    ]);
  });

  it.skipIf(!language.hasPictures)("gives pictures", async () => {
    const reply = await run(code.picture ?? "");
    expect(reply.structured).toMatchObject({ status: "ok" });
    expect(reply.images.map(({ mimeType }) => mimeType)).toEqual(["image/png"]);
  });

  it.each(code.asks)("fails at once where code asks somebody: %s", async (source) => {
    const { status, error, duration_ms } = (await run(source)).structured;
    expect(status).toBe("error");
    expect(`${error.name} ${error.value}`).toMatch(code.refusal);
    expect(duration_ms).toBeLessThan(2_000);
  });

  it("has all that a child process writes, also at the last moment", async () => {
    for (let n = 0; n < 20; n++) {
      expect((await run(code.child)).structured).toMatchObject({ status: "ok", stdout: "of a child\n", stderr: "child's stderr\n" });
    }
    const long = (await run(code.longChild)).structured;
    expect(long.truncated).toEqual([expect.objectContaining({ field: "stdout", total_bytes: 2_000_000 + "\nend\n".length })]);
    expect(long.stdout.endsWith("\nend\n")).toBe(true);
  });

  // One in twenty of Deno's is the kind that is lost at all; where nothing comes behind its end, fewer show as much.
  const runs = name === "javascript" ? 300 : 50;
  it(`loses nothing of ${runs} quick runs, and mixes none`, async () => {
    for (let n = 0; n < runs; n++) {
      const { result, stdout } = (await run(code.quick(n))).structured;
      expect(language.hasResult ? result : stdout.trim()).toBe(code.quickResult?.(n) ?? String(n));
    }
  });

  it("begins anew by restart_context", async () => {
    expect((await client.call("restart_context", { context_id })).structured).toMatchObject({ state: "idle", incarnation: 2 });
    const reply = (await run(code.print)).structured;
    expect(reply.stdout).not.toContain("41");
    expect(reply.state).toMatchObject({ variables: "lost", reason: "restarted", incarnation: 2 });
    expect((await run(code.whereAndEnvironment)).structured.stdout).toBe("/home/user/wörk\nü €\n");
  });

  it("has a default context of its own", async () => {
    const reply = await client.run(code.set, { language: name });
    expect(reply.structured).toMatchObject({ language: name, status: "ok" });
    expect(reply.structured.context_id).not.toBe(context_id);
  });
});

describe("a language that is not there", () => {
  it("names the flavour that has it and the commands that give it", async () => {
    await using client = await startClient();
    const { structured } = await client.call("create_context");
    expect(structured.language).toBe("python");
    const lacking: LanguageName[] = [];
    for (const language of LANGUAGE_NAMES) {
      const reply = await client.call("create_context", { language });
      if (!reply.isError) continue;
      lacking.push(language);
      expect(reply.error).toMatchObject({ code: "unsupported", message: expect.stringContaining(language) });
      if (language === "r")
        expect(reply.error?.hint).toMatch(/setup --image full-r, then start the server with --image full-r\..*Use one of: python/s);
    }
    expect(lacking.length, `${TEST_IMAGE} has every language`).toBeGreaterThan(0);
  });

  it("is refused with those that are, where nobody has it", async () => {
    await using client = await startClient();
    const reply = await client.run("1", { language: "cobol" });
    expect(reply.error).toMatchObject({ code: "invalid_argument", message: expect.stringContaining(LANGUAGE_NAMES.join(", ")) });
  });
});

describe("JavaScript in Deno", async () => {
  const image = await imageFor("javascript");
  if (image.missing !== undefined) {
    it.skip(`not run: ${image.missing}`, () => {});
    return;
  }
  let client: TestClient;
  beforeAll(async () => {
    client = await startClient("sdk 2, 2026-07-28", ["--image", image.ref]);
  });
  afterAll(async () => await client.close());
  const run = async (code: string, args = {}) => (await client.run(code, { language: "javascript", ...args })).structured;

  it("has its output before it is done, however often it prints, and its value behind it", async () => {
    const reply = await run("for (let i = 0; i < 20_000; i++) console.log(i); 'value'");
    expect(reply).toMatchObject({ result: '"value"', status: "ok" });
    expect(reply.stdout.endsWith("\n19999\n")).toBe(true);
    expect(await run("'next'")).toMatchObject({ result: '"next"', stdout: "" });
  });

  it("has what it displayed before it is done", async () => {
    const show =
      "for (let i = 0; i < 500; i++) Deno.jupyter.broadcast('display_data', { data: { 'text/plain': 'd' + i }, metadata: {} }); 'value'";
    const reply = await run(show);
    expect(reply).toMatchObject({ result: '"value"', status: "ok" });
    expect(reply.notices).toEqual([expect.stringContaining("450 more outputs")]);
  });

  it("is done in time where code keeps the kernel too busy to send the mark that ends the wait", async () => {
    const { context_id } = (await client.call("create_context", { language: "javascript" })).structured;
    const busy = "setTimeout(() => { const until = Date.now() + 1_500; while (Date.now() < until); }, 0); 'value'";
    const reply = await run(busy, { context_id, language: undefined });
    expect(reply).toMatchObject({ status: "ok", result: '"value"' });
    expect(reply.duration_ms).toBeLessThan(1_400);
  });

  it("survives errors in callbacks, and tells them", async () => {
    const reply = await run(
      "globalThis.kept = 3; setTimeout(() => { throw new Error('later') }, 10); await new Promise((r) => setTimeout(r, 200)); 4",
    );
    expect(reply).toMatchObject({ status: "ok", result: "4", stderr: expect.stringContaining("Error: later") });
    expect((await run("Promise.reject(new Error('forgotten')); 5")).stderr).toContain("Error: forgotten");
    expect(await run("kept")).toMatchObject({ result: "3" });
  });

  it("says what may be wrong where Deno says nothing", async () => {
    for (const code of ["let x: = 3", "import 'npm:left-pad'"]) {
      expect((await run(code)).error.value).toMatch(/syntax error, or imports a module that is not available.*need a network/);
    }
    expect(await run("import { join } from 'node:path'; join('a', 'b')")).toMatchObject({ result: '"a/b"' });
  });

  it("tells why a kernel does not start", async () => {
    const broken = await client.call("write_file", { path: "broken/deno.json", content: "{" });
    expect(broken.isError).toBe(false);
    const reply = await client.call("create_context", { language: "javascript", cwd: "broken" });
    expect(reply.error).toMatchObject({ code: "kernel_died" });
    expect(JSON.stringify(reply.error?.details)).toContain("deno.json");
  });

  it("holds back a child that writes faster than it is read, and loses nothing", async () => {
    const reply = await run("new Deno.Command('sh', { args: ['-c', 'seq 4000000'], stdout: 'inherit' }).outputSync().code", {
      timeout_s: 60,
    });
    const bytes =
      Array.from({ length: 7 }, (_, digits) => 9 * 10 ** digits * (digits + 2))
        .slice(0, 6)
        .reduce((sum, n) => sum + n, 0) +
      3_000_001 * 8;
    expect(reply).toMatchObject({ result: "0", truncated: [expect.objectContaining({ total_bytes: bytes })] });
    expect(reply.stdout.endsWith("\n4000000\n")).toBe(true);
  });
});
