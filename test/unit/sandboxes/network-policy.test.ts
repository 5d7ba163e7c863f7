import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { allowsHost, hostPattern, type NetworkPolicy, networkNote } from "../../../src/sandboxes/network-policy.ts";

describe("the name of a host that an operator allows", () => {
  it.each([
    ["index.example", "index.example"],
    ["Index.Example.", "index.example"],
    ["*.Example.com", "*.example.com"],
    ["bücher.example", "xn--bcher-kva.example"],
    ["_dmarc.example.com", "_dmarc.example.com"],
  ])("%s is %s", (written, name) => {
    expect(hostPattern(written)).toBe(name);
  });

  it.each([
    "127.0.0.1",
    "169.254.169.254",
    "0x7f.1",
    "0177.0.0.1",
    "2130706433",
    "127.1",
    "1.1",
    "10.0.0.1.",
    "[::1]",
    "::1",
    "::ffff:169.254.169.254",
    "fd00::2",
    "*.127.0.0.1",
    "１２７.0.0.1",
  ])("%s is an address, and no name", (written) => {
    expect(() => hostPattern(written)).toThrow(/address|host's name alone|no host name/);
  });

  it.each([
    ["https://index.example", /without scheme, port or path/],
    ["index.example:443", /without scheme, port or path/],
    ["index.example/simple", /without scheme, port or path/],
    ["user@index.example", /without scheme, port or path/],
    ["two names.org", /without scheme, port or path/],
    ["localhost", /have a dot/],
    ["", /no host name/],
    ["*", /no host name/],
    ["*.", /no host name/],
    ["a.*.org", /no host name/],
    [".example.com", /no host name/],
    ["a..b", /no host name/],
    ["-a.org", /no host name/],
    [`${"a".repeat(64)}.org`, /no host name/],
    [`${"a.".repeat(127)}org`, /no host name/],
    ["a\nb.org", /without scheme, port or path/],
    ["a%0ab.org", /no host name/],
    ['a".org', /no host name/],
  ])("%j is refused, and says why", (written, why) => {
    expect(() => hostPattern(written)).toThrow(why);
  });

  it("has nothing in it that a configuration could take for more than a name, and is its own canonical form", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: "binary" }), fc.domain(), fc.ipV4(), fc.ipV6(), fc.webAuthority()), (written) => {
        let name: string;
        try {
          name = hostPattern(written);
        } catch (error) {
          expect(error).toBeInstanceOf(RangeError);
          return;
        }
        expect(name).toMatch(/^(\*\.)?[a-z0-9_.-]{3,253}$/);
        expect(name).not.toMatch(/(^|\.)(0x[0-9a-f]*|[0-9]+)$/);
        expect(hostPattern(name)).toBe(name);
      }),
      { numRuns: 2_000 },
    );
  });
});

describe("a policy", () => {
  const allowlist: NetworkPolicy = { mode: "allowlist", hosts: ["index.example", "*.example.com"] };

  it("lets through what it names, and what is below a name with a star", () => {
    const asked = [
      "index.example",
      "www.index.example",
      "a.example.com",
      "a.b.example.com",
      "example.com",
      "badexample.com",
      "index.example.evil.test",
    ];
    expect(asked.filter((host) => allowsHost(allowlist, host))).toEqual(["index.example", "a.example.com", "a.b.example.com"]);
    expect(allowsHost({ mode: "none", hosts: ["index.example"] }, "index.example")).toBe(false);
    expect(allowsHost({ mode: "open", hosts: [] }, "index.example")).toBe(true);
  });

  it("is told to models in a sentence of bounded length", () => {
    expect(networkNote({ mode: "none", hosts: [] })).toBe("The sandbox has no network.");
    expect(networkNote({ mode: "open", hosts: [] })).toMatch(/public hosts/);
    expect(networkNote(allowlist)).toMatch(/only these hosts, .*: index\.example, \*\.example\.com\.$/);
    const many = Array.from({ length: 200 }, (_, index) => `h${index}.example`);
    expect(networkNote({ mode: "allowlist", hosts: many })).toMatch(/h9\.example and 190 more\.$/);
  });
});
