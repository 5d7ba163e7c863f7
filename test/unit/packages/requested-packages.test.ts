import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, test } from "vitest";
import { LIMITS } from "../../../src/limits.ts";
import { type Manager, plainName, requestedPackages } from "../../../src/packages/requested-packages.ts";

/** The fetcher is tested with these, too (sandbox/tests/test_requested.py): what is good is asked of it in the form on the right. */
const CASES: Record<Manager, { good: Record<string, string>; bad: string[] }> = JSON.parse(
  readFileSync(join(import.meta.dirname, "../../../sandbox/tests/requested.json"), "utf8"),
);

describe.each(["pip", "npm"] as const)("%s", (manager) => {
  test.for(Object.entries(CASES[manager].good))("takes %j as %j", ([written, name]) => {
    expect(requestedPackages(manager, [` ${written} `])).toEqual([name]);
  });

  test.for(CASES[manager].bad)("refuses %j", (name) => {
    expect(() => requestedPackages(manager, ["good", name])).toThrow(expect.objectContaining({ code: "invalid_argument" }));
  });

  it("has bounds, and takes each package once", () => {
    const many = Array.from({ length: LIMITS.installPackages + 1 }, (_, at) => `a${at}`);
    expect(() => requestedPackages(manager, many)).toThrow(expect.objectContaining({ code: "too_large" }));
    expect(requestedPackages(manager, [...many.slice(1), "a1"])).toHaveLength(LIMITS.installPackages);
    if (manager === "pip") expect(requestedPackages(manager, ["a [b]", "a[b]"])).toEqual(["a[b]"]);
    expect(() => requestedPackages(manager, ["a".repeat(LIMITS.installNameCharacters + 1)])).toThrow();
    expect(requestedPackages(manager, ["a".repeat(LIMITS.installNameCharacters)])).toHaveLength(1);
    expect(() => requestedPackages(manager, [])).toThrow("No package");
  });

  it("answers soon whatever it is given", () => {
    const startedAt = performance.now();
    for (const odd of ["a,".repeat(100), `a[${"b,".repeat(90)}`, `a${">=1,".repeat(49)}!`, `${"a-".repeat(99)}!`, `a==${"1.".repeat(98)}?`])
      expect(() => requestedPackages(manager, [odd])).toThrow();
    expect(performance.now() - startedAt).toBeLessThan(200);
  });
});

it("a name is compared as its manager compares it", () => {
  expect(plainName("pip", "Zope.Interface[x]>=1")).toBe("zope-interface");
  expect(plainName("npm", "@s/n@1.2")).toBe("@s/n");
  expect(plainName("npm", "zod@^4")).toBe("zod");
});
