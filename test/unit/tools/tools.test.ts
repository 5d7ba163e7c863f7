import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { encode } from "gpt-tokenizer/encoding/o200k_base";
import { describe, expect, it } from "vitest";
import { FLAGS, readConfig } from "../../../src/config.ts";
import { LANGUAGE_NAMES } from "../../../src/contexts/languages.ts";
import { nearest } from "../../../src/tools/define-tool.ts";
import { TOOLS, unknownTool } from "../../../src/tools/index.ts";
import { listing } from "../../../src/tools/listing.ts";
import { page } from "../../../src/tools/page.ts";

const GOLDEN = join(import.meta.dirname, "../../golden/tools.json");
const TOKENS_MAX = 6_000;

const shown = TOOLS.map((tool) => listing(tool, LANGUAGE_NAMES));

describe("the tools as hosts see them", () => {
  it("are those of the golden file: a difference is a change of the contract (UPDATE_GOLDEN=1 writes it)", () => {
    if (process.env.UPDATE_GOLDEN === "1") writeFileSync(GOLDEN, `${JSON.stringify(shown, null, 2)}\n`);
    expect(shown).toEqual(JSON.parse(readFileSync(GOLDEN, "utf8")));
  });

  it("cost a host few tokens", () => {
    expect(encode(JSON.stringify(shown)).length).toBeLessThan(TOKENS_MAX);
  });

  it("say that writing a file twice is not the same as once: it may append", () => {
    expect(TOOLS.find((tool) => tool.name === "write_file")?.annotations).toMatchObject({ idempotentHint: false, destructiveHint: true });
  });

  it.each(shown.map((tool) => [tool.name, tool] as const))("%s has a name, a description and hints that hosts take", (_, tool) => {
    expect(tool.name).toMatch(/^[a-z_]{1,40}$/);
    expect(tool.description.length).toBeLessThan(2_000);
    expect(Object.keys(tool.annotations).sort()).toEqual(["destructiveHint", "idempotentHint", "openWorldHint", "readOnlyHint", "title"]);
    const properties = Object.keys(tool.inputSchema.properties ?? {});
    expect(properties).toContain("sandbox_id");
    expect(properties.every((name) => /^[a-z_]+$/.test(name))).toBe(true);
    if (tool.name.includes("file") || tool.name.includes("directory"))
      expect(tool.description).toMatch(/^In the sandbox, not on the user's machine:/);
  });
});

describe("names that were nearly right", () => {
  it.each([
    ["timeout", "timeout_s"],
    ["timeoutSeconds", "timeout_s"],
    ["contextId", "context_id"],
    ["lang", "language"],
    ["source", undefined],
  ])("%s", (given, meant) => {
    expect(nearest(given, ["code", "language", "context_id", "sandbox_id", "timeout_s", "env"])).toBe(meant);
  });
});

describe("a tool that is not there", () => {
  it("is answered with the nearest name and all that are", () => {
    expect(unknownTool("run_code")).toMatchObject({ code: "invalid_argument", message: "There is no tool run_code." });
    expect(unknownTool("readfile").hint).toContain("Did you mean read_file?");
    for (const tool of TOOLS) expect(unknownTool("x\u202e".repeat(1_000)).hint).toContain(tool.name);
    expect(unknownTool("\u202e".repeat(1_000)).message).not.toMatch(/\p{Cf}/u);
  });
});

describe("pages", () => {
  it("give every item once, in order", () => {
    const all = Array.from({ length: 7 }, (_, n) => `id${n}`);
    const seen: string[] = [];
    let cursor: string | undefined;
    do {
      const { items, nextCursor } = page(all, (id) => id, { limit: 3, cursor });
      seen.push(...items);
      cursor = nextCursor ?? undefined;
    } while (cursor !== undefined);
    expect(seen).toEqual(all);
    expect(page(all, (id) => id, { limit: 7 }).nextCursor).toBeNull();
    expect(() => page(all, (id) => id, { limit: 3, cursor: "gone" })).toThrow(/cursor/);
  });
});

describe("settings", () => {
  it("come from flags, then the environment, then defaults", () => {
    expect(readConfig({}, {})).toMatchObject({ image: "full", memory: 2_048, workspace: 512, lease: 30, pool: 0 });
    expect(readConfig({ memory: "1024" }, { KERNELBOX_MEMORY: "4096", KERNELBOX_CPUS: "1.5" })).toMatchObject({ memory: 1_024, cpus: 1.5 });
    expect(readConfig({ workspace: "4096" }, { KERNELBOX_WORKSPACE_ON: "volume" })).toMatchObject({
      workspace: 4_096,
      workspaceOn: "volume",
    });
    expect(FLAGS.map((flag) => flag.variable)).toContain("KERNELBOX_LOG_LEVEL");
  });

  it("say their units and bounds in --help", () => {
    const help = (key: string) => FLAGS.find((flag) => flag.key === key)?.description;
    expect(help("memory")).toMatch(/whole number of MiB from 256 to 1048576 \(default: 2048\)$/);
    expect(help("cpus")).toMatch(/a number from 0.1 to 1024 \(default: 2\)$/);
  });

  it.each([
    [{ memory: "lots" }, "--memory"],
    [{ memory: "600.3" }, "--memory: it takes a whole number of MiB from 256"],
    [{ pids: "64.5" }, "--pids: it takes a whole number from 64"],
    [{ lease: "7.5" }, "--lease: it takes a whole number of seconds"],
    [{ pids: "1" }, "--pids"],
    [{ image: "-rm" }, "--image"],
    [{ workspace: "2048" }, "--workspace"],
    [{ workspaceOn: "disk" }, "--workspace-on"],
    [{ lease: "1" }, "--lease"],
    [{ pool: "65" }, "--pool: it takes a whole number from 0 to 64"],
    [{ pool: "-1" }, "--pool"],
    [{ softDeadline: "0.5" }, "--soft-deadline: it takes a whole number of seconds from 1"],
    [{ runtime: "a b" }, "--runtime"],
    [{ logLevel: "loud" }, "--log-level"],
  ])("that cannot be name their flag: %j", (flags, named) => {
    expect(() => readConfig(flags, {})).toThrow(named);
  });
});
