import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { FLAVOUR_LANGUAGES } from "../../../../src/contexts/languages.ts";
import { PACKAGE_ROOT } from "../../../../src/engines/docker/package-files.ts";
import { IMAGE_FLAVOURS } from "../../../../src/engines/engine.ts";

/** The Dockerfile's instructions, each with its continuation lines and without comments. */
const instructions = readFileSync(join(PACKAGE_ROOT, "Dockerfile"), "utf8")
  .split("\n")
  .filter((line) => !line.startsWith("#"))
  .join("\n")
  .split(/(?<!\\)\n/)
  .filter((line) => line.trim() !== "");

interface Stage {
  name: string;
  from: string;
  /** Stages that it copies from. */
  needs: string[];
}

const stages: Stage[] = [];
for (const line of instructions) {
  const from = /^FROM (\S+) AS (\S+)$/.exec(line);
  if (from !== null) stages.push({ name: from[2] ?? "", from: from[1] ?? "", needs: [] });
  const copied = /^COPY --from=(\S+)/.exec(line)?.[1];
  if (copied !== undefined) stages.at(-1)?.needs.push(copied);
}

function neededBy(name: string): Set<string> {
  const stage = stages.find((each) => each.name === name);
  if (stage === undefined) return new Set();
  return new Set([name, ...[stage.from, ...stage.needs].flatMap((below) => [...neededBy(below)])]);
}

test("nothing in it is for BuildKit alone: no mounts, no heredocs, no other syntax", () => {
  expect(instructions.length).toBeGreaterThan(30);
  for (const line of instructions) {
    expect(line).not.toMatch(/^(RUN|COPY|ADD)\s+--(mount|network|security|link|chmod|parents|exclude)/);
    expect(line).not.toMatch(/<<-?\s*["']?[A-Za-z_]+/);
  }
  expect(readFileSync(join(PACKAGE_ROOT, "Dockerfile"), "utf8")).not.toMatch(/^#\s*syntax=/m);
});

test("a flavour's build meets no stage that only another flavour needs: the legacy builder builds all that lie above its target", () => {
  expect(stages.map(({ name }) => name)).toEqual(expect.arrayContaining(["base", ...IMAGE_FLAVOURS]));
  const above = stages
    .slice(
      0,
      stages.findIndex(({ name }) => name === "core"),
    )
    .map(({ name }) => name);
  expect(above.filter((name) => !neededBy("core").has(name))).toEqual([]);
});

test("no flavour is made from a stage that has the installers", () => {
  for (const flavour of IMAGE_FLAVOURS) {
    const stage = stages.find(({ name }) => name === flavour);
    expect(stage?.from).toMatch(/^base(-r)?$/);
    expect(stage?.needs.every((name) => name === "squid" || name.endsWith("-packages"))).toBe(true);
  }
});

test("all flavours run the same program, with their own code after the packages", () => {
  const of = (flavour: string) => {
    const start = instructions.findIndex((line) => line.endsWith(` AS ${flavour}`));
    const rest = instructions.slice(start + 1);
    const end = rest.findIndex((line) => line.startsWith("FROM "));
    return rest.slice(0, end < 0 ? undefined : end).map((line) =>
      line
        .replace(/\b(core|full)-packages/, "PACKAGES")
        .replaceAll(flavour, "FLAVOUR")
        .replace(/(languages=)\S+/i, "$1"),
    );
  };
  expect(of("core")).toEqual(of("full"));
  expect(of("core")).toEqual(of("full-r"));
});

test("each flavour says which languages it has, as the server does", () => {
  for (const flavour of IMAGE_FLAVOURS) {
    const labels = instructions.find((line) => line.startsWith("LABEL") && line.includes(`kernelbox.flavour=${flavour} `));
    expect(labels?.split("kernelbox.languages=")[1]?.split(",")).toEqual(FLAVOUR_LANGUAGES[flavour]);
    const start = instructions.findIndex((line) => line.endsWith(` AS ${flavour}`));
    const variables = instructions.slice(start).find((line) => line.includes("KERNELBOX_LANGUAGES="));
    expect(variables?.split("KERNELBOX_LANGUAGES=")[1]?.split(",")).toEqual(FLAVOUR_LANGUAGES[flavour]);
  }
});
