import { describe, expect, it, test } from "vitest";
import { LIMITS } from "../../../src/limits.ts";
import { plainName, requestedPackages } from "../../../src/packages/requested-packages.ts";

const GOOD = {
  pip: [
    "numpy",
    "A",
    "zope.interface",
    "httpx[http2]",
    "httpx[http2, socks]>=0.27,<1",
    "numpy == 2.1.*",
    "x===1.0+local",
    "x~=1.4.2",
    "x!=1.0,!=1.1",
    "x>=1!2.0rc1.post1.dev2",
  ],
  npm: [
    "left-pad",
    "@scope/name",
    "zod@4",
    "zod@^4.1",
    "zod@~4.1.0",
    "zod@>=4",
    "zod@1.x",
    "zod@*",
    "vite@next",
    "@s/n@1.2.3-rc.1+b",
    "JSONStream",
  ],
} as const;

const BAD = {
  pip: [
    "",
    " ",
    "-r requirements.txt",
    "--index-url=http://x",
    "numpy --index-url http://x",
    "http://x/y.whl",
    "git+https://x/y",
    "./x",
    "../x",
    "/x",
    "x.whl/..",
    "a/b",
    "a @ http://x",
    "a@http://x",
    "a; python_version > '3'",
    "a\nb",
    "a\0",
    "a b",
    "a[",
    "a[]",
    "a[b",
    "a==",
    "a=1",
    "a>=1,",
    "a>=1;x",
    "a==1 --hash=sha256:0",
    "ä",
    "$HOME",
    "a#x",
    "a==1..2",
  ],
  npm: [
    "",
    "-g",
    "--registry=http://x",
    "http://x",
    "file:x",
    "../x",
    "./x",
    "/x",
    "a/b",
    "@a",
    "@/a",
    "@a/",
    "@a/b/c",
    "a@",
    "a@http://x",
    "a@npm:b",
    "a@file:..",
    "a@1 || 2",
    "a b",
    "a\nb",
    ".a",
    "a@../x",
    "a@-x",
    "ä",
    "a;b",
  ],
} as const;

describe.each(["pip", "npm"] as const)("%s", (manager) => {
  test.for(GOOD[manager])("takes %j", (name) => expect(requestedPackages(manager, [` ${name} `])).toEqual([name]));

  test.for(BAD[manager])("refuses %j", (name) => {
    expect(() => requestedPackages(manager, ["good", name])).toThrow(expect.objectContaining({ code: "invalid_argument" }));
  });

  it("has bounds, and takes each package once", () => {
    const many = Array.from({ length: LIMITS.installPackages + 1 }, (_, at) => `a${at}`);
    expect(() => requestedPackages(manager, many)).toThrow(expect.objectContaining({ code: "too_large" }));
    expect(requestedPackages(manager, [...many.slice(1), "a1"])).toHaveLength(LIMITS.installPackages);
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
