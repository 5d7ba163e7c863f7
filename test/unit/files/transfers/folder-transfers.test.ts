import { describe, expect, it } from "vitest";
import { entryFromSupervisor } from "../../../../src/files/files.ts";
import { everyEntry, nameWithin } from "../../../../src/files/transfers/folder-transfers.ts";

describe("what a sandbox says lies in a folder", () => {
  it.each([
    ["/home/user/a", "a"],
    ["/home/user/a/..b/ü\n", "a/..b/ü\n"],
  ])("%j goes into the archive as %j", (path, name) => {
    expect(nameWithin("/home/user", path)).toBe(name);
  });

  it.each([
    "",
    "/",
    "/home/user",
    "/home/user/",
    "/home/userx/a",
    "/etc/passwd",
    "/home/user//a",
    "/home/user/../a",
    "/home/user/a/..",
    "/home/user/./a",
    "/home/user/a/",
    "/home/user/a\0",
    "../x",
  ])("%j does not go into an archive", (path) => {
    expect(() => nameWithin("/home/user", path)).toThrow(expect.objectContaining({ code: "sandbox_lost" }));
  });

  it("is taken page by page, and not asked for without end", async () => {
    const entry = (name: string) =>
      entryFromSupervisor({ name, path: `/d/${name}`, type: "file", size_bytes: 0, mode: "644", owner: "", group: "", mtime_ms: 0 });
    let asked = 0;
    const list = async (cursor: string | undefined) => {
      if (++asked > 10) throw new TypeError("it does not end");
      return { path: "/d", entries: asked < 3 ? [entry(`${cursor}-${asked}`)] : [], nextCursor: `page${asked}` };
    };
    const names: string[] = [];
    const taking = (async () => {
      for await (const { name } of everyEntry(list)) names.push(name);
    })();
    await expect(taking).rejects.toMatchObject({ code: "sandbox_lost" });
    expect(names).toEqual(["undefined-1", "page1-2"]);
    expect(asked).toBe(3);
  });
});
