import { expect, it } from "vitest";
import { LIMITS } from "../../../src/limits.ts";
import { FileIds } from "../../../src/store/file-ids.ts";

const file = (path: string, sandboxId = "sbx_a", principal = "me") => ({ principal, sandboxId, path });

it("gives a path of a sandbox one id, and another one elsewhere", () => {
  const ids = new FileIds();
  const id = ids.idOf(file("/home/user/a"));
  expect(id).toMatch(/^file_[A-Za-z0-9_-]{22}$/);
  expect(ids.idOf(file("/home/user/a"))).toBe(id);
  expect(ids.find(id, "me")).toEqual({ sandboxId: "sbx_a", path: "/home/user/a" });
  const others = [ids.idOf(file("/home/user/b")), ids.idOf(file("/home/user/a", "sbx_b"))];
  expect(new Set([id, ...others]).size).toBe(3);
});

it("knows neither foreign nor guessed ids, nor those of a sandbox that has ended", () => {
  const ids = new FileIds();
  const id = ids.idOf(file("/tmp/a"));
  const other = ids.idOf(file("/tmp/a", "sbx_b"));
  expect(ids.find(id, "you")).toBeUndefined();
  expect(ids.find("file_AAAAAAAAAAAAAAAAAAAAAA", "me")).toBeUndefined();
  ids.forget("sbx_a");
  ids.forget("sbx_unknown");
  expect(ids.find(id, "me")).toBeUndefined();
  expect(ids.find(other, "me")).toEqual({ sandboxId: "sbx_b", path: "/tmp/a" });
});

it("forgets what was asked for least lately where a sandbox has too many", () => {
  const ids = new FileIds();
  const all = Array.from({ length: LIMITS.fileIdsPerSandbox }, (_, n) => ids.idOf(file(`/tmp/${n}`)));
  const elsewhere = ids.idOf(file("/tmp/0", "sbx_b"));
  ids.idOf(file("/tmp/0"));
  ids.idOf(file("/tmp/one-more"));
  expect(ids.find(all[1] as string, "me")).toBeUndefined();
  expect(ids.find(all[0] as string, "me")).toBeDefined();
  expect(ids.find(all[2] as string, "me")).toBeDefined();
  expect(ids.find(elsewhere, "me")).toBeDefined();
  expect(ids.idOf(file("/tmp/1"))).not.toBe(all[1]);
});
