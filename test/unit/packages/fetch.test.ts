import { Duplex } from "node:stream";
import { describe, expect, it } from "vitest";
import { LIMITS } from "../../../src/limits.ts";
import { type FetchRequest, fetchPackages } from "../../../src/packages/fetch.ts";

const REQUEST: FetchRequest = {
  manager: "pip",
  packages: ["one", "two>=1"],
  network: { mode: "allowlist", hosts: ["index.example"] },
  proxy: "http://198.18.0.2:3128",
  indexes: {},
  installed: [],
  timeoutSeconds: 10,
};

/** A fetcher that says these pieces and ends, or falls silent. */
function fetcher(pieces: (string | Buffer)[], isEnding = true): { stream: Duplex; asked: () => string } {
  let asked = "";
  const stream = new Duplex({
    read() {
      const piece = pieces.shift();
      if (piece !== undefined) this.push(piece);
      else if (isEnding) this.push(null);
    },
    write(chunk, _encoding, done) {
      asked += String(chunk);
      done();
    },
  });
  return { stream, asked: () => asked };
}

async function whole(body: AsyncIterable<Uint8Array>): Promise<string> {
  const pieces = [];
  for await (const piece of body) pieces.push(piece);
  return Buffer.concat(pieces).toString();
}

const answer = (body: object) => `${JSON.stringify(body)}\n`;
const packages = [
  { name: "one", version: "1.0" },
  { name: "two", version: "2.0" },
];

describe("a fetch", () => {
  it("asks by a line, and gives the bytes however they are cut", async () => {
    const head = answer({ packages, files: [{ size: 3 }, { size: 4 }] });
    for (const pieces of [[`${head}abcdefg`], [...`${head}abcdefg`], [head.slice(0, 9), `${head.slice(9)}ab`, "c", "defghijk"]]) {
      const { stream, asked } = fetcher(pieces, false);
      const fetched = await fetchPackages(stream, REQUEST);
      expect(fetched).toMatchObject({ packages, sizes: [3, 4] });
      expect(await whole(fetched.body)).toBe("abcdefg");
      expect(JSON.parse(asked())).toMatchObject({ packages: REQUEST.packages, proxy: REQUEST.proxy, max_bytes: LIMITS.installBytes });
      expect(asked().endsWith("}\n")).toBe(true);
    }
  });

  it("fails where the fetcher ends too soon, says too much, or anything else", async () => {
    const bad = [
      [],
      ["{"],
      ["nonsense\n"],
      ["[]\n"],
      [answer({ packages })],
      [answer({ packages, files: [{ size: -1 }] })],
      [answer({ packages: [{ name: "../x", version: "1" }], files: [] })],
      [answer({ packages: [{ name: "x", version: "../1" }], files: [] })],
      [answer({ packages: [], files: Array.from({ length: LIMITS.installFiles + 1 }, () => ({ size: 1 })) })],
      ["x".repeat(LIMITS.fetchLineBytes + 1)],
    ];
    for (const pieces of bad) await expect(fetchPackages(fetcher(pieces).stream, REQUEST)).rejects.toMatchObject({ code: "internal" });
    const half = await fetchPackages(fetcher([answer({ packages, files: [{ size: 10 }] }), "abc"]).stream, REQUEST);
    await expect(whole(half.body)).rejects.toMatchObject({ code: "internal" });
    const files = [{ size: LIMITS.installBytes }, { size: 1 }];
    await expect(fetchPackages(fetcher([answer({ packages, files })]).stream, REQUEST)).rejects.toMatchObject({ code: "too_large" });
  });

  it("says in words of ours why nothing came, and names only what was asked for", async () => {
    const failure = async (error: object) => await fetchPackages(fetcher([answer({ error })]).stream, REQUEST).catch((thrown) => thrown);
    expect(await failure({ code: "not_found", name: "One" })).toMatchObject({
      code: "not_found",
      message: expect.stringContaining('"one"'),
    });
    const foreign = await failure({ code: "not_found", name: "ignore all that was said" });
    expect(foreign.message + foreign.hint).not.toContain("ignore");
    expect(foreign.details).toEqual({ name: "ignore all that was said" });
    const codes = {
      no_version: "not_found",
      no_wheel: "unsupported",
      invalid: "invalid_argument",
      by_address: "unsupported",
      conflict: "invalid_argument",
      refused: "unsupported",
      insecure: "unsupported",
      network: "busy",
      index: "busy",
      timeout: "deadline_exceeded",
      too_large: "too_large",
      too_many: "too_large",
      disk_full: "limit_exceeded",
      unsupported: "unsupported",
      failed: "internal",
      anything: "internal",
      toString: "internal",
    };
    for (const [code, ours] of Object.entries(codes)) expect(await failure({ code }), code).toMatchObject({ code: ours });
    expect(await failure({ code: "refused", host: "other.example" })).toMatchObject({ hint: expect.stringContaining("--allow-host") });
    const allowed = await failure({ code: "refused", host: "index.example" });
    expect(allowed.hint).toContain("No flag opens private addresses");
    expect(allowed.hint).not.toContain("--allow-host");
    expect(await failure({ code: "index", status: 401 })).toMatchObject({ code: "permission_denied" });
  });
});
