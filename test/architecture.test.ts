import { readdirSync, readFileSync } from "node:fs";
import { builtinModules } from "node:module";
import { dirname, join, relative, resolve } from "node:path";
import { describe, expect, it } from "vitest";

const SRC = resolve(import.meta.dirname, "../src");

/** What each folder may import beside itself and the foundation; the rest is the data's way run backwards. */
const FOUNDATION = ["errors.ts", "limits.ts", "log.ts", "ids.ts", "own-command.ts", "package-indexes.ts", "version.ts"];
const MAY_IMPORT: Record<string, string[]> = {
  events: [],
  engines: [],
  "engines/docker": ["engines/engine.ts"],
  channel: ["events"],
  store: ["events"],
  sandboxes: ["channel", "engines/engine.ts", "events", "store"],
  contexts: ["events", "sandboxes", "store"],
  files: ["events", "sandboxes", "store"],
  "files/transfers": ["events", "files", "sandboxes", "store"],
  "files/host": ["files", "files/transfers", "store"],
  processes: ["events", "sandboxes", "store"],
  packages: ["events", "sandboxes", "store"],
  tools: ["contexts", "events", "files", "files/host", "packages", "processes"],
  mcp: ["events", "files", "tools"],
  commands: ["app.ts", "config.ts", "sandboxes"],
  "app.ts": [
    "config.ts",
    "contexts",
    "engines",
    "engines/docker",
    "files",
    "files/host",
    "files/transfers",
    "packages",
    "processes",
    "sandboxes",
    "store",
    "tools",
  ],
  "main.ts": ["app.ts", "commands", "config.ts", "mcp"],
  "config.ts": ["sandboxes/network-policy.ts", "tools/profiles.ts"],
  ...Object.fromEntries(FOUNDATION.map((file) => [file, []])),
};

/** Packages, or whole scopes, that only one place may know; what lies beneath their names is theirs too. */
const OWNED_BY: Record<string, string[]> = {
  dockerode: ["engines/docker"],
  "tar-stream": ["engines/docker", "files/transfers"],
  "@modelcontextprotocol": ["mcp"],
  commander: ["main.ts"],
  pino: ["log.ts"],
  re2js: ["processes"],
};

const FORBIDDEN_NAMES = /(^|\/)(utils?|common|helpers?|managers?|misc|shared)(\/|\.ts$|$)/;

const files = readdirSync(SRC, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile() && entry.name.endsWith(".ts"))
  .map((entry) => relative(SRC, join(entry.parentPath, entry.name)));

/** The innermost declared folder, or the file itself in the root. */
function placeOf(file: string): string {
  if (!file.includes("/")) return file;
  const places = Object.keys(MAY_IMPORT).filter((place) => file.startsWith(`${place}/`));
  return places.sort((a, b) => b.length - a.length)[0] ?? dirname(file);
}

function importsOf(file: string): string[] {
  const source = readFileSync(join(SRC, file), "utf8");
  const specifiers = [
    ...source.matchAll(
      /(?:^|\n)\s*(?:import|export)\b[^;]*?from\s*["']([^"']+)["']|import\(\s*["']([^"']+)["']\s*\)|(?:^|\n)import\s*["']([^"']+)["']/g,
    ),
  ];
  return specifiers.map((match) => (match[1] ?? match[2] ?? match[3]) as string);
}

function mayImport(from: string, target: string): boolean {
  const own = placeOf(from);
  const place = placeOf(target);
  if (place === own || FOUNDATION.includes(target)) return true;
  return (MAY_IMPORT[own] ?? []).some((allowed) => target === allowed || place === allowed);
}

/** What is wrong with what a file imports. */
function wrongImports(file: string, specifiers: string[]): string[] {
  return specifiers.filter((specifier) => {
    if (specifier.startsWith("node:")) return false;
    if (specifier.startsWith(".")) return !mayImport(file, relative(SRC, resolve(SRC, dirname(file), specifier)));
    // Without its node: in front.
    if (builtinModules.includes(specifier)) return true;
    const owned = Object.keys(OWNED_BY).find((name) => specifier === name || specifier.startsWith(`${name}/`));
    return owned !== undefined && OWNED_BY[owned]?.includes(placeOf(file)) !== true;
  });
}

/** Ways past the channel. A regular expression's exec follows the expression itself or the name of a constant. */
const PAST_THE_CHANNEL = /(?<!\/[a-z]*|\b[A-Z][A-Z_]+)\.exec\(|putArchive|getArchive|infoArchive|\bgetExec\b/;

describe("the folders are the way of the data", () => {
  it("finds the sources", () => {
    expect(files.length).toBeGreaterThan(50);
    expect(importsOf("main.ts")).toContain("./app.ts");
  });

  it.each(files)("%s imports only what its place may", (file) => {
    expect(Object.keys(MAY_IMPORT)).toContain(placeOf(file));
    expect(wrongImports(file, importsOf(file)), file).toEqual([]);
  });

  it("would notice a forbidden import", () => {
    expect(mayImport("tools/execute-code.ts", "sandboxes/sandbox.ts")).toBe(false);
    expect(mayImport("tools/execute-code.ts", "engines/docker/index.ts")).toBe(false);
    expect(mayImport("engines/docker/create.ts", "events/event.ts")).toBe(false);
    expect(mayImport("events/fold.ts", "contexts/execution.ts")).toBe(false);
    expect(mayImport("sandboxes/sandbox.ts", "engines/docker/index.ts")).toBe(false);
    const forbidden = [
      "@modelcontextprotocol/server",
      "@modelcontextprotocol/server/stdio",
      "@modelcontextprotocol/server/anything",
      "@modelcontextprotocol/sdk/types.js",
      "dockerode",
      "dockerode/lib/container.js",
      "../sandboxes/sandbox.ts",
      "fs",
    ];
    expect(wrongImports("tools/execute-code.ts", [...forbidden, "node:fs", "zod", "../contexts/contexts.ts"])).toEqual(forbidden);
    expect(wrongImports("mcp/server.ts", forbidden.slice(0, 3))).toEqual([]);
  });

  it("has no folder for what has no name, and no file that is too long to be one thing", () => {
    expect(files.filter((file) => FORBIDDEN_NAMES.test(file))).toEqual([]);
    const long = files.filter((file) => readFileSync(join(SRC, file), "utf8").split("\n").length > 400);
    expect(long).toEqual([]);
  });

  it("writes to stdout nowhere but in commands for people", () => {
    const writers = files.filter((file) => /process\.stdout\.write|console\.log/.test(readFileSync(join(SRC, file), "utf8")));
    expect(writers.every((file) => file === "main.ts" || file.startsWith("commands/"))).toBe(true);
  });

  it("uses neither exec nor the archive API of the engine", () => {
    for (const file of files) expect(readFileSync(join(SRC, file), "utf8"), file).not.toMatch(PAST_THE_CHANNEL);
    for (const call of ["container.exec({", "container.exec(options)", "(await find()).exec(options)", "docker.getExec(id)"])
      expect(call).toMatch(PAST_THE_CHANNEL);
    for (const call of ["/x+/gi.exec(line)", "FILE.exec(uri)", "UNFINISHED_ESCAPE.exec(input)"]) expect(call).not.toMatch(PAST_THE_CHANNEL);
  });
});
