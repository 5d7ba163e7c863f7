import { readdirSync, readFileSync } from "node:fs";
import { builtinModules } from "node:module";
import { dirname, join, relative, resolve } from "node:path";
import { describe, expect, it } from "vitest";

const SRC = resolve(import.meta.dirname, "../src");

/** What each folder may import beside itself and the foundation; the rest is the data's way run backwards. */
const FOUNDATION = ["errors.ts", "limits.ts", "log.ts", "ids.ts", "version.ts"];
const MAY_IMPORT: Record<string, string[]> = {
  events: [],
  engines: [],
  "engines/docker": ["engines/engine.ts"],
  channel: ["events"],
  store: ["events"],
  sandboxes: ["channel", "engines/engine.ts", "events", "store"],
  contexts: ["events", "sandboxes", "store"],
  files: ["events", "sandboxes", "store"],
  tools: ["contexts", "events", "files"],
  mcp: ["files", "tools"],
  commands: ["app.ts", "config.ts", "sandboxes"],
  "app.ts": ["config.ts", "contexts", "engines", "engines/docker", "files", "sandboxes", "store", "tools"],
  "main.ts": ["app.ts", "commands", "config.ts", "mcp"],
  "config.ts": [],
  ...Object.fromEntries(FOUNDATION.map((file) => [file, []])),
};

/** Packages that only one place may know. */
const OWNED_BY: Record<string, string[]> = {
  dockerode: ["engines/docker"],
  "tar-stream": ["engines/docker"],
  "@modelcontextprotocol/server": ["mcp"],
  "@modelcontextprotocol/server/stdio": ["mcp"],
  commander: ["main.ts"],
  pino: ["log.ts"],
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

describe("the folders are the way of the data", () => {
  it("finds the sources", () => {
    expect(files.length).toBeGreaterThan(50);
    expect(importsOf("main.ts")).toContain("./app.ts");
  });

  it.each(files)("%s imports only what its place may", (file) => {
    expect(Object.keys(MAY_IMPORT)).toContain(placeOf(file));
    for (const specifier of importsOf(file)) {
      if (specifier.startsWith(".")) {
        const target = relative(SRC, resolve(SRC, dirname(file), specifier));
        expect(mayImport(file, target), `${file} imports ${target}`).toBe(true);
        continue;
      }
      if (specifier.startsWith("node:")) continue;
      expect(builtinModules, `${file}: use node:${specifier}`).not.toContain(specifier);
      const owners = OWNED_BY[specifier];
      if (owners !== undefined) expect(owners, `${file} imports ${specifier}`).toContain(placeOf(file));
    }
  });

  it("would notice a forbidden import", () => {
    expect(mayImport("tools/execute-code.ts", "sandboxes/sandbox.ts")).toBe(false);
    expect(mayImport("tools/execute-code.ts", "engines/docker/index.ts")).toBe(false);
    expect(mayImport("engines/docker/create.ts", "events/event.ts")).toBe(false);
    expect(mayImport("events/fold.ts", "contexts/execution.ts")).toBe(false);
    expect(mayImport("sandboxes/sandbox.ts", "engines/docker/index.ts")).toBe(false);
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
    for (const file of files)
      expect(readFileSync(join(SRC, file), "utf8"), file).not.toMatch(/\.exec\(\{|putArchive|getArchive|infoArchive/);
  });
});
