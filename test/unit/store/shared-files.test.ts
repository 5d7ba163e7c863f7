import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtemp, readdir, rm, stat, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeEach, describe, expect, it } from "vitest";
import { LIMITS } from "../../../src/limits.ts";
import { createLog } from "../../../src/log.ts";
import { SharedFiles } from "../../../src/store/shared-files.ts";

const log = createLog("silent");
const KiB = 1_024;
const BOUNDS = { bytes: 64 * KiB, fileBytes: 40 * KiB, files: 4 };
const GUESSED = "file_AAAAAAAAAAAAAAAAAAAAAA";

const root = await mkdtemp(join(tmpdir(), "kernelbox-shared-files-"));
afterAll(async () => await rm(root, { recursive: true }));
let dir: string;
beforeEach(async () => {
  dir = join(await mkdtemp(join(root, "store-")), "shared");
});

const load = async (bounds = BOUNDS) => await SharedFiles.load(dir, bounds, log);

async function* bytes(...pieces: (string | Uint8Array)[]) {
  for (const piece of pieces) yield Buffer.from(piece);
}

const put = (files: SharedFiles, name: string, body: AsyncIterable<Uint8Array>, more: { overwrite?: boolean; principal?: string } = {}) =>
  files.put({ principal: "me", name, overwrite: false, body, ...more });

async function contentOf(files: SharedFiles, fileId: string, offset?: number, limit?: number): Promise<string> {
  const pieces: Buffer[] = [];
  for await (const piece of files.open(fileId, "me").read(offset, limit)) pieces.push(piece);
  return Buffer.concat(pieces).toString();
}

/** Names of everything on the disk, rows and contents. */
const onDisk = async () => (await readdir(dir, { recursive: true })).filter((name) => name !== "contents").sort();

/** A body that goes on when it is told to. */
function held() {
  let release = () => {};
  const gate = new Promise<void>((resolve) => {
    release = resolve;
  });
  return {
    release: () => release(),
    body: (async function* () {
      yield Buffer.from("first ");
      await gate;
      yield Buffer.from("last");
    })(),
  };
}

describe("files that are kept for a principal", () => {
  it("come in as a stream and are read by id, whole or in part", async () => {
    const files = await load();
    const text = "one, two, three";
    const stored = await put(files, "größe 1.csv", bytes("one, ", "", "two, three"));
    const sha256 = createHash("sha256").update(text).digest("hex");
    expect(stored).toMatchObject({ fileId: expect.stringMatching(/^file_/), name: "größe 1.csv", sizeBytes: text.length, sha256 });
    expect(files.find(stored.fileId, "me")).toEqual(stored);
    expect(await contentOf(files, stored.fileId)).toBe(text);
    expect(await contentOf(files, stored.fileId, 5, 3)).toBe("two");
    expect(await contentOf(files, stored.fileId, 100)).toBe("");
    const empty = await put(files, "empty", bytes());
    expect(empty.sizeBytes).toBe(0);
    expect(files.list("me").map(({ name }) => name)).toEqual(["empty", "größe 1.csv"]);
  });

  it("are private on the disk, and named by nothing that a caller said", async () => {
    const files = await load();
    const { fileId } = await put(files, "name.txt", bytes("x"), { principal: "somebody" });
    const [content, row] = await onDisk();
    expect([content, row]).toEqual([expect.stringMatching(/^contents\/[0-9a-f]{32}$/), `${fileId}.json`]);
    for (const name of [content, row]) expect((await stat(join(dir, name as string))).mode & 0o777).toBe(0o600);
    expect((await stat(join(dir, "contents"))).mode & 0o777).toBe(0o700);
  });

  it("are unknown to others, and guessed ids to everybody", async () => {
    const files = await load();
    const { fileId } = await put(files, "a", bytes("mine"));
    for (const [id, principal] of [
      [fileId, "you"],
      [GUESSED, "me"],
    ] as const) {
      expect(files.find(id, principal)).toBeUndefined();
      expect(() => files.open(id, principal)).toThrow(expect.objectContaining({ code: "not_found" }));
      await expect(files.remove(id, principal)).rejects.toMatchObject({ code: "not_found" });
    }
    expect(files.list("you")).toEqual([]);
    const other = await put(files, "a", bytes("yours"), { principal: "you" });
    expect(other.fileId).not.toBe(fileId);
    expect(await contentOf(files, fileId)).toBe("mine");
  });

  it("are overwritten only when that is asked for, and keep their id", async () => {
    const files = await load();
    const first = await put(files, "a", bytes("old"));
    await expect(put(files, "a", bytes("new"))).rejects.toMatchObject({ code: "already_exists", details: { file_id: first.fileId } });
    expect(await contentOf(files, first.fileId)).toBe("old");
    const reading = files.open(first.fileId, "me").read()[Symbol.asyncIterator]();
    const second = await put(files, "a", bytes("newer"), { overwrite: true });
    expect(second).toMatchObject({ fileId: first.fileId, sizeBytes: 5, createdAt: first.createdAt });
    expect(await contentOf(files, first.fileId)).toBe("newer");
    // Opened before and read after: it says so rather than give another content than it promised.
    await expect(reading.next()).rejects.toMatchObject({ code: "busy" });
    expect(await onDisk()).toHaveLength(2);
  });

  it("go on being read while they are replaced", async () => {
    const files = await load();
    const { fileId } = await put(files, "a", bytes("old".repeat(10_000)));
    let read = "";
    for await (const piece of files.open(fileId, "me").read(0, 30_000)) {
      if (read === "") await put(files, "a", bytes("new"), { overwrite: true });
      read += piece.toString();
    }
    expect(read).toBe("old".repeat(10_000));
  });

  it("are there again after a restart, under their ids, and what was left half done is not", async () => {
    const first = await load();
    const kept = await put(first, "kept", bytes("k"));
    const short = await put(first, "short", bytes("short"));
    const removed = await put(first, "removed", bytes("r"));
    await first.remove(removed.fileId, "me");
    const before = await onDisk();
    const contentOfShort = await Promise.all(before.map(async (name) => [name, (await stat(join(dir, name))).size] as const));
    await truncate(join(dir, contentOfShort.find(([name, size]) => name.startsWith("contents/") && size === 5)?.[0] as string), 2);
    await writeFile(join(dir, "contents", "0".repeat(32)), "cut");
    await writeFile(join(dir, `${GUESSED}.new`), "{");
    await writeFile(join(dir, `${GUESSED}.json`), "{");
    const second = await load();
    expect(second.list("me")).toEqual([kept]);
    expect(await contentOf(second, kept.fileId)).toBe("k");
    expect(second.find(short.fileId, "me")).toBeUndefined();
    expect(await onDisk()).toHaveLength(2);
    expect(await put(second, "kept", bytes("K"), { overwrite: true })).toMatchObject({ fileId: kept.fileId });
  });

  it("can be removed, which makes room", async () => {
    const files = await load();
    const big = Buffer.alloc(40 * KiB);
    const { fileId } = await put(files, "a", bytes(big));
    await expect(put(files, "b", bytes(big))).rejects.toMatchObject({ code: "limit_exceeded" });
    await files.remove(fileId, "me");
    expect(await onDisk()).toEqual([]);
    await put(files, "b", bytes(big));
  });

  it.each([
    ["", "empty"],
    [".", "dot"],
    ["..", "dot"],
    [".bashrc", "dot"],
    ["a/b", "slash"],
    ["/etc/passwd", "slash"],
    ["..\\a", "slash"],
    ["a\0b", "control"],
    ["a\nb", "control"],
    ["a\u2028b", "control"],
    ["a\u0085b", "control"],
    ["\ud800", "Unicode"],
    ["é".repeat(LIMITS.sharedNameBytes / 2 + 1), "bytes"],
  ])("are not called %j", async (name, why) => {
    const files = await load();
    await expect(put(files, name, bytes("x"))).rejects.toMatchObject({ code: "invalid_argument", message: expect.stringContaining(why) });
    expect(await onDisk()).toEqual([]);
  });

  it.each(["é".repeat(LIMITS.sharedNameBytes / 2), "a b", "-rf", "名前.csv", "👩‍💻.txt", "a..b", "$(x)"])(
    "may be called %j",
    async (name) => {
      expect(await put(await load(), name, bytes("x"))).toMatchObject({ name });
    },
  );
});

describe("an upload that does not come to its end", () => {
  const failing = async function* () {
    yield Buffer.alloc(20 * KiB);
    throw new Error("cut");
  };

  it("leaves nothing: no file, no row, no bytes counted", async () => {
    const files = await load();
    for (let n = 0; n < 5; n++) await expect(put(files, `a${n}`, failing())).rejects.toThrow("cut");
    expect(await onDisk()).toEqual([]);
    expect(files.list("me")).toEqual([]);
    await put(files, "whole", bytes(Buffer.alloc(40 * KiB)));
    await put(files, "rest", bytes(Buffer.alloc(24 * KiB)));
  });

  it("leaves the file that it was to replace as it was", async () => {
    const files = await load();
    const { fileId } = await put(files, "a", bytes("old"));
    await expect(put(files, "a", failing(), { overwrite: true })).rejects.toThrow("cut");
    expect(await contentOf(files, fileId)).toBe("old");
    expect(await onDisk()).toHaveLength(2);
  });

  it("ends when its caller leaves, though its body is stuck", async () => {
    const files = await load();
    const leaving = new AbortController();
    const stuck = held();
    const putting = files.put({ principal: "me", name: "a", overwrite: false, body: stuck.body, signal: leaving.signal });
    setTimeout(() => leaving.abort(), 20);
    await expect(putting).rejects.toMatchObject({ code: "cancelled" });
    expect(await onDisk()).toEqual([]);
    await put(files, "a", bytes("after"));
  });
});

describe("several uploads at one time", () => {
  it("to one name come in the order of their calls, however slow the first is", async () => {
    const files = await load();
    const slow = held();
    const first = put(files, "a", slow.body);
    const second = put(files, "a", bytes("second"), { overwrite: true });
    const third = put(files, "a", bytes("third"));
    const other = await put(files, "b", bytes("b"));
    slow.release();
    const { fileId, sizeBytes } = await first;
    expect(sizeBytes).toBe("first last".length);
    expect(await second).toMatchObject({ fileId });
    await expect(third).rejects.toMatchObject({ code: "already_exists" });
    expect(await contentOf(files, fileId)).toBe("second");
    expect(files.list("me").map((file) => file.fileId)).toEqual([fileId, other.fileId]);
  });

  it("never keep more together than may be kept", async () => {
    const files = await load();
    const sizes = [20, 20, 20, 20, 20, 20, 20, 20];
    const puts = sizes.map((size, n) => put(files, `a${n}`, bytes(...Array.from({ length: size }, () => Buffer.alloc(KiB)))));
    const ended = await Promise.allSettled(puts);
    for (const end of ended) if (end.status === "rejected") expect(end.reason).toMatchObject({ code: "limit_exceeded" });
    const kept = files.list("me");
    expect(kept.length).toBeLessThanOrEqual(3);
    expect(await onDisk()).toHaveLength(2 * kept.length);
    // What was given up is free again.
    for (const { fileId } of kept) await files.remove(fileId, "me");
    await put(files, "a", bytes(Buffer.alloc(40 * KiB)));
    await put(files, "b", bytes(Buffer.alloc(24 * KiB)));
  });

  it("are so many at most", async () => {
    const files = await load({ ...BOUNDS, bytes: 2 * BOUNDS.bytes, files: 100 });
    const slow = Array.from({ length: LIMITS.sharedUploads }, held);
    const puts = slow.map(({ body }, n) => put(files, `a${n}`, body));
    await expect(put(files, "b", bytes("x"))).rejects.toMatchObject({ code: "limit_exceeded" });
    await put(files, "b", bytes("x"), { principal: "you" });
    for (const { release } of slow) release();
    await Promise.all(puts);
    await put(files, "b", bytes("x"));
  });
});

describe("the bounds", () => {
  it("hold for one file, for all of a principal's, and for their number", async () => {
    const files = await load();
    await expect(put(files, "a", bytes(Buffer.alloc(40 * KiB), "x"))).rejects.toMatchObject({ code: "too_large" });
    const { fileId } = await put(files, "a", bytes(Buffer.alloc(40 * KiB)));
    // A byte takes a page, as in the sandbox.
    await put(files, "b", bytes(Buffer.alloc(20 * KiB + 1)));
    await expect(put(files, "c", bytes("x"))).rejects.toMatchObject({ code: "limit_exceeded" });
    // What is replaced makes room for what replaces it.
    expect(await put(files, "a", bytes(Buffer.alloc(40 * KiB)), { overwrite: true })).toMatchObject({ fileId });
    await put(files, "a", bytes("x"), { overwrite: true });
    await put(files, "c", bytes("x"));
    await put(files, "d", bytes("x"));
    await expect(put(files, "e", bytes("x"))).rejects.toMatchObject({ code: "limit_exceeded", message: expect.stringContaining("4") });
    await put(files, "d", bytes("y"), { overwrite: true });
    await put(files, "e", bytes(Buffer.alloc(40 * KiB)), { principal: "you" });
  });
});

describe("a disk that refuses", () => {
  /** A process that may write no file larger than this. */
  async function limited(kibibytes: number, script: string): Promise<string> {
    const source = JSON.stringify(join(import.meta.dirname, "../../../src/store/shared-files.ts"));
    const log = JSON.stringify(join(import.meta.dirname, "../../../src/log.ts"));
    const code = `const { SharedFiles } = await import(${source}); const { createLog } = await import(${log});
const files = await SharedFiles.load(${JSON.stringify(dir)}, { bytes: 1e9 }, createLog("silent"));
const put = async (name, bytes, overwrite = false) => await files.put({ principal: "me", name, overwrite, body: (async function* () { for (let n = 0; n < bytes; n += 1024) yield Buffer.alloc(1024); })() }).then(({ sizeBytes }) => sizeBytes, ({ code }) => code);
${script}`;
    const args = [
      "-c",
      'ulimit -f "$0"; exec "$@"',
      String(kibibytes),
      process.execPath,
      "--import",
      "tsx",
      "--input-type=module",
      "-e",
      code,
    ];
    return (await promisify(execFile)("bash", args, { timeout: 60_000, env: { ...process.env, TSX_DISABLE_CACHE: "1" } })).stdout.trim();
  }

  it("costs the upload, and nothing that is there", async () => {
    const said = await limited(
      64,
      `console.log(JSON.stringify([await put("a", 32 * 1024), await put("a", 128 * 1024, true), await put("b", 128 * 1024), await put("c", 1024), files.list("me").map(({ name }) => name)]));`,
    );
    expect(JSON.parse(said)).toEqual([32 * KiB, "limit_exceeded", "limit_exceeded", KiB, ["a", "c"]]);
    const files = await load({ bytes: 1_024 * KiB, fileBytes: 1_024 * KiB, files: 10 });
    expect(files.list("me").map(({ name, sizeBytes }) => [name, sizeBytes])).toEqual([
      ["a", 32 * KiB],
      ["c", KiB],
    ]);
    expect(await onDisk()).toHaveLength(4);
  });
});
