import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { encode } from "gpt-tokenizer/encoding/o200k_base";
import { describe, expect, it } from "vitest";
import { toolsPage } from "../../../scripts/tools-page.ts";
import { FLAGS, readConfig } from "../../../src/config.ts";
import { LANGUAGE_NAMES } from "../../../src/contexts/languages.ts";
import { KernelboxError } from "../../../src/errors.ts";
import { LIMITS } from "../../../src/limits.ts";
import { networkNote } from "../../../src/sandboxes/network-policy.ts";
import { nearest } from "../../../src/tools/define-tool.ts";
import { findTool, TOOLS, toolsOf } from "../../../src/tools/index.ts";
import { listing } from "../../../src/tools/listing.ts";
import { page } from "../../../src/tools/page.ts";
import { PROFILES, type Profile } from "../../../src/tools/profiles.ts";

const GOLDEN = join(import.meta.dirname, "../../golden/tools.json");
const TOKENS_MAX = 6_000;

const SURROUNDINGS = { languages: LANGUAGE_NAMES, network: networkNote({ mode: "none", hosts: [] }) };
const tokensOf = (tools: object[]) => encode(JSON.stringify(tools)).length;
const shown = TOOLS.map((tool) => listing(tool, SURROUNDINGS));
const byProfile = Object.fromEntries(
  PROFILES.map((profile) => {
    const tools = toolsOf([profile]).map((tool) => listing(tool, SURROUNDINGS));
    return [profile, { tokens: tokensOf(tools), tools }];
  }),
);

describe("the tools as hosts see them", () => {
  it("are those of the golden file, and cost what it says: a difference is a change of the contract (UPDATE_GOLDEN=1 writes it)", () => {
    if (process.env.UPDATE_GOLDEN === "1") writeFileSync(GOLDEN, `${JSON.stringify(byProfile, null, 2)}\n`);
    expect(byProfile).toEqual(JSON.parse(readFileSync(GOLDEN, "utf8")));
  });

  it("cost a host few tokens that names no profile", () => {
    expect(tokensOf(toolsOf(readConfig({}, {}).tools).map((tool) => listing(tool, SURROUNDINGS)))).toBeLessThanOrEqual(TOKENS_MAX);
  });

  it("are on the page that is made from them (npm run docs writes it)", () => {
    expect(readFileSync(join(import.meta.dirname, "../../../docs/tools.md"), "utf8")).toBe(toolsPage());
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
  const refused = (name: string, profiles: readonly Profile[] = ["core"]) => {
    try {
      return void findTool(name, profiles);
    } catch (thrown) {
      return KernelboxError.from(thrown);
    }
  };

  it("is answered with the nearest name and all that are", () => {
    expect(refused("run_code")).toMatchObject({ code: "invalid_argument", message: "There is no tool run_code." });
    expect(refused("readfile")?.hint).toContain("Did you mean read_file?");
    for (const tool of toolsOf(["core"])) expect(refused("x\u202e".repeat(1_000))?.hint).toContain(tool.name);
    expect(refused("\u202e".repeat(1_000))?.message).not.toMatch(/\p{Cf}/u);
  });

  it("and is one of a profile that this server was not started with is told with the flag", () => {
    const other = TOOLS.find((tool) => tool.profile !== "core");
    expect(other).toBeDefined();
    expect(refused(String(other?.name))).toMatchObject({
      code: "invalid_argument",
      hint: expect.stringContaining(`--tools core,${other?.profile}`),
    });
    expect(refused(String(other?.name), PROFILES)).toBeUndefined();
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
    expect(readConfig({}, {}).tools).toEqual(["core"]);
    expect(readConfig({ tools: "files, core" }, {}).tools).toEqual(["core", "files"]);
    expect(readConfig({}, { KERNELBOX_TOOLS: "all" }).tools).toEqual(PROFILES);
  });

  it("take a list from a flag that is repeated, or from one variable as in PATH", () => {
    const dir = realpathSync(mkdtempSync(join(tmpdir(), "kernelbox-settings-")));
    for (const name of ["a", "b", "odd:ro"]) mkdirSync(join(dir, name));
    symlinkSync("a", join(dir, "link"));
    const [a, b, link, odd] = ["a", "b", "link", "odd:ro"].map((name) => join(dir, name));
    const folder = (given: string | undefined, isReadOnly: boolean, real = given) => ({ given, real, isReadOnly });
    expect(readConfig({}, {}).allowDir).toEqual([]);
    expect(readConfig({ allowDir: [`${a}:ro`, b] }, { KERNELBOX_ALLOW_DIR: "/nowhere" }).allowDir).toEqual([
      folder(a, true),
      folder(b, false),
    ]);
    const variable = [b, `${a}:ro`, link].join(delimiter);
    expect(readConfig({}, { KERNELBOX_ALLOW_DIR: variable }).allowDir).toEqual([folder(b, false), folder(a, true), folder(link, false, a)]);
    expect(readConfig({ allowDir: [`${odd}/`, `${odd}:ro`] }, {}).allowDir).toEqual([folder(odd, false), folder(odd, true)]);
    writeFileSync(join(dir, "file"), "");
    expect(() => readConfig({ saveDir: join(dir, "file") }, {})).toThrow(/^--save-dir: "/);
    for (const path of [odd, join(dir, "file"), join(dir, "none:ro")])
      expect(() => readConfig({ allowDir: [b, path] }, {})).toThrow(/^--allow-dir: "/);
    expect(readConfig({ saveDir: link }, {}).saveDir).toBe(a);
    expect(() => readConfig({ allowDir: Array(LIMITS.allowedDirs + 1).fill(a) }, {})).toThrow(/^--allow-dir/);
    rmSync(dir, { recursive: true });
  });

  it("hosts in one value, or in several, are names in their canonical form, each once", () => {
    const allowHost = ["Index.Example, files.example.net.", "*.example.com", "index.example"];
    const hosts = ["index.example", "files.example.net", "*.example.com"];
    expect(readConfig({ network: "allowlist", allowHost }, {})).toMatchObject({ network: "allowlist", allowHost: hosts });
    const env = { KERNELBOX_NETWORK: "allowlist", KERNELBOX_ALLOW_HOST: allowHost.join(",") };
    expect(readConfig({}, env).allowHost).toEqual(hosts);
    expect(readConfig({}, {})).toMatchObject({ network: "none", allowHost: [] });
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
    [{ tools: "core,more" }, "--tools: it takes core, files, processes, sandboxes, all, with commas between"],
    [{ tools: "" }, "--tools"],
    [{ logLevel: "loud" }, "--log-level"],
    [{ network: "closed" }, "--network"],
    [{ network: "allowlist" }, "--network: an allowlist needs at least one --allow-host"],
    [{ allowHost: ["index.example"] }, "--allow-host: hosts are allowed one by one with --network allowlist only"],
    [{ network: "open", allowHost: ["index.example"] }, "--allow-host: "],
    [{ network: "allowlist", allowHost: ["10.0.0.1"] }, '--allow-host: "10.0.0.1": it takes names, and this is an address'],
    [
      {
        network: "allowlist",
        allowHost: Array(201)
          .fill("a.example")
          .map((host, index) => `h${index}.${host}`),
      },
      "--allow-host: it takes at most 200 hosts",
    ],
  ])("that cannot be name their flag: %j", (flags, named) => {
    expect(() => readConfig(flags, {})).toThrow(named);
  });
});
