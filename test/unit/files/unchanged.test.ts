import { describe, expect, it } from "vitest";
import { KernelboxError } from "../../../src/errors.ts";
import { isSameOrGrown, readUnchanged } from "../../../src/files/unchanged.ts";
import { LIMITS } from "../../../src/limits.ts";

describe("a file that was seen before", () => {
  const before = { sizeBytes: 9, version: "1f-2a-9-100-100" };
  it.each([
    ["is unchanged", before, true],
    ["has grown", { sizeBytes: 10, version: "1f-2a-a-200-200" }, true],
    ["has shrunk", { sizeBytes: 8, version: "1f-2a-8-200-200" }, false],
    ["was rewritten", { sizeBytes: 9, version: "1f-2a-9-200-200" }, false],
    ["is another one, larger", { sizeBytes: 10, version: "1f-2b-a-200-200" }, false],
    ["lies on another device", { sizeBytes: 10, version: "20-2a-a-200-200" }, false],
  ])("%s", (_, after, isSame) => expect(isSameOrGrown(before, after)).toBe(isSame));
});

describe("a read", () => {
  const failing = (codes: ("busy" | "not_found")[]) => {
    let tries = 0;
    const read = async () => {
      const code = codes[tries++];
      if (code !== undefined) throw new KernelboxError(code, "It failed.", "None.");
      return "read";
    };
    return { read: () => readUnchanged(read), tries: () => tries };
  };

  it("begins again where the file was changed, and not for ever", async () => {
    const once = failing(["busy"]);
    expect(await once.read()).toBe("read");
    const always = failing(Array.from({ length: 99 }, () => "busy" as const));
    await expect(always.read()).rejects.toMatchObject({ code: "busy" });
    expect(always.tries()).toBe(LIMITS.readTries);
  });

  it("fails at once for any other reason", async () => {
    const other = failing(["not_found"]);
    await expect(other.read()).rejects.toMatchObject({ code: "not_found" });
    expect(other.tries()).toBe(1);
  });
});
