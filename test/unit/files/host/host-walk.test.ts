import { execFileSync, spawn } from "node:child_process";
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { KernelboxError } from "../../../../src/errors.ts";
import { AllowedFolders } from "../../../../src/files/host/allowed-folders.ts";
import { HostFolder } from "../../../../src/files/host/host-folder.ts";
import { packHostFolder } from "../../../../src/files/host/host-walk.ts";
import { type ArchiveCounts, packed } from "../../../../src/files/transfers/archives.ts";
import { LIMITS } from "../../../../src/limits.ts";
import { outcome, Recorded } from "../../../helpers/unpacked.ts";

let top: string;
let dir: string;
let folders: AllowedFolders;
let openBefore: number;
const openNow = () => readdirSync("/proc/self/fd").length;

beforeEach(() => {
  top = realpathSync(mkdtempSync(join(tmpdir(), "kernelbox-walk-")));
  dir = join(top, "dir");
  mkdirSync(dir);
  mkdirSync(join(top, "outside"));
  writeFileSync(join(top, "outside/secret"), "secret");
  folders = new AllowedFolders([{ given: dir, real: dir, isReadOnly: true }]);
  openBefore = openNow();
});
afterEach(() => {
  expect(openNow(), "descriptors that were left open").toBeLessThanOrEqual(openBefore);
  rmSync(top, { recursive: true });
});

/** What of the folder comes out of its archive, and what was left out. */
async function walked(name = ".", into = new Recorded()) {
  const from = await folders.open(name);
  if (!(from instanceof HostFolder)) throw new TypeError("a file");
  const counts: ArchiveCounts = { entries: 0, skipped: 0 };
  try {
    const tar = packed(async (archive) => await packHostFolder(from, archive, counts));
    return { ...(await outcome(tar, into)), counts };
  } finally {
    await from.close();
  }
}

const put = (path: string, text = path) => {
  mkdirSync(join(dir, path, ".."), { recursive: true });
  writeFileSync(join(dir, path), text);
};

describe("a folder of the host in an archive", () => {
  it("has its files and folders, and nothing that is hidden, a link or special", async () => {
    for (const path of ["a", "sub/b", "sub/sub/ü ñ\n", "sub/..b", ".env", ".git/config", "sub/.hidden/x", "\u200c.env", "b..", "..."])
      put(path);
    mkdirSync(join(dir, "empty"));
    symlinkSync("a", join(dir, "to-own"));
    symlinkSync(join(top, "outside"), join(dir, "to-outside"));
    symlinkSync("../../outside/secret", join(dir, "sub/to-secret"));
    symlinkSync(".", join(dir, "sub/to-itself"));
    execFileSync("mkfifo", [join(dir, "fifo")]);
    const server = createServer().listen(join(dir, "socket"));
    await new Promise((resolve) => server.once("listening", resolve));
    const result = await walked();
    await new Promise((resolve) => server.close(resolve));
    expect(result.tree).toEqual({
      a: "a",
      sub: null,
      "sub/b": "sub/b",
      "sub/sub": null,
      "sub/sub/ü ñ\n": Buffer.from("sub/sub/ü ñ\n").toString("latin1"),
      "b..": "b..",
      empty: null,
    });
    expect(result.counts).toEqual({ entries: 7, skipped: 12 });
  });

  it("has no names that are not UTF-8", async () => {
    writeFileSync(Buffer.concat([Buffer.from(`${dir}/a`), Buffer.from([0xff])]), "x");
    put("b");
    expect(await walked()).toMatchObject({ tree: { b: "b" }, counts: { entries: 1, skipped: 1 } });
  });

  it("is as deep as an archive may be, and not deeper", async () => {
    const deep = (folders: number) => `${"d/".repeat(folders)}f`;
    put(deep(LIMITS.archiveDepth - 1));
    const result = await walked();
    expect(result.code).toBe("ok");
    expect(result.tree[deep(LIMITS.archiveDepth - 1)]).toBe(deep(LIMITS.archiveDepth - 1));
    put(deep(LIMITS.archiveDepth));
    expect((await walked()).code).toBe("too_large");
    put(deep(100));
    expect((await walked()).code).toBe("too_large");
  });

  it("says of long names in long folders that they are too long", async () => {
    put(`${`${"n".repeat(250)}/`.repeat(9)}f`);
    expect((await walked()).code).toBe("too_large");
  });

  it("has so many files and folders at most", async () => {
    for (let at = 0; at < LIMITS.archiveEntries - 1; at++) mkdirSync(join(dir, `d${at}`));
    put("last");
    const result = await walked();
    expect(result).toMatchObject({ code: "ok", counts: { entries: LIMITS.archiveEntries, skipped: 0 } });
    put("one-more");
    expect((await walked()).code).toBe("too_large");
  }, 60_000);

  it("fails in words of ours where the system does not let it be read", async () => {
    const from = (await folders.open(".")) as HostFolder;
    await from.close();
    const tar = packed(async (archive) => await packHostFolder(from, archive, { entries: 0, skipped: 0 }));
    expect((await outcome(tar)).code).toBe("not_found");
  });

  it("closes everything where the other side has enough, at any depth", async () => {
    for (let at = 0; at < 50; at++) put(`a/b/c/f${at}`, "x".repeat(50_000));
    for (const most of [0, 1, 10, 40]) {
      const folder = new Recorded();
      let files = 0;
      const write = folder.writeFile.bind(folder);
      folder.writeFile = async (path, body) => {
        if (files++ >= most) throw new KernelboxError("limit_exceeded", "full", "no");
        await write(path, body);
      };
      expect((await walked(".", folder)).code).toBe("limit_exceeded");
      expect(openNow()).toBeLessThanOrEqual(openBefore);
    }
  });
});

describe("while somebody writes in the folder", () => {
  /** Changes the file when its first piece has been taken. */
  async function during(change: (path: string) => void) {
    const path = join(dir, "big");
    writeFileSync(path, Buffer.alloc(20 * LIMITS.hostReadBytes));
    utimesSync(path, 1, 1);
    const folder = new Recorded();
    let isChanged = false;
    folder.writeFile = async (_, body) => {
      for await (const _ of body) {
        if (!isChanged) change(path);
        isChanged = true;
      }
    };
    return (await walked(".", folder)).code;
  }

  it("a file that is written over or cut is busy, and one that grows is what it was", async () => {
    expect(await during(() => {})).toBe("ok");
    expect(await during((path) => appendFileSync(path, "more"))).toBe("ok");
    expect(await during((path) => rmSync(path))).toBe("ok");
    expect(await during((path) => writeFileSync(path, Buffer.alloc(20 * LIMITS.hostReadBytes, 1)))).toBe("busy");
    expect(await during((path) => truncateSync(path, 5))).toBe("busy");
  });

  it("nothing of the outside goes in, however fast names are exchanged", async () => {
    put("real/secret", "open");
    symlinkSync(join(top, "outside"), join(dir, "link"));
    put("file", "text");
    execFileSync("mkfifo", [join(dir, "pipe")]);
    const code = [
      "import os, sys",
      "os.chdir(sys.argv[1]); print('go', flush=True)",
      "while True:",
      "  for one, other in (('real', 'link'), ('file', 'pipe')):",
      "    os.rename(one, 'x'); os.rename(other, one); os.rename(one, other); os.rename('x', one)",
    ].join("\n");
    const swapper = spawn("python3", ["-c", code, dir]);
    const codes = new Set<string>();
    let isSeen = false;
    try {
      await new Promise((resolve) => swapper.stdout.once("data", resolve));
      // The pipes of the other process are open as well.
      openBefore = openNow();
      for (const until = Date.now() + 2_000; Date.now() < until; ) {
        const result = await walked();
        codes.add(result.code);
        for (const text of Object.values(result.tree)) expect(["open", "text", "", null]).toContain(text);
        isSeen ||= result.tree["real/secret"] === "open";
        expect(openNow()).toBeLessThanOrEqual(openBefore);
      }
    } finally {
      swapper.kill("SIGKILL");
    }
    expect(isSeen).toBe(true);
    for (const each of codes) expect(["ok", "busy", "not_found", "permission_denied", "invalid_argument"]).toContain(each);
  });
});
