import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startClient, type TestClient } from "../helpers/client.ts";
import { guardAgainstLeaks } from "../helpers/containers.ts";

guardAgainstLeaks();

const KiB = 1024;
const sha256 = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");

let client: TestClient;
let local: string;
beforeAll(async () => {
  local = await mkdtemp(join(tmpdir(), "kernelbox-transfers-"));
  client = await startClient("sdk 2, 2026-07-28", ["--allow-dir", local]);
});
afterAll(async () => {
  await client.close();
  await rm(local, { recursive: true });
});

describe("files up and down", () => {
  it.each([0, 1, 256 * KiB - 1, 256 * KiB, 256 * KiB + 1, 5_000_011])("%i bytes come back as they were", async (size) => {
    const bytes = randomBytes(size);
    await writeFile(join(local, `odd-${size}.bin`), bytes);
    const up = await client.call("upload_file", { local_path: `odd-${size}.bin`, path: "in/" });
    expect(up.structured).toMatchObject({ path: `/home/user/in/odd-${size}.bin`, size_bytes: size, sha256: sha256(bytes) });
    const inside = await client.run(`sha256sum in/odd-${size}.bin && stat -c %a in/odd-${size}.bin`, { language: "bash" });
    expect(inside.structured.stdout).toBe(`${sha256(bytes)}  in/odd-${size}.bin\n644\n`);
    const down = await client.call("download_file", { path: `in/odd-${size}.bin`, local_path: `back-${size}.bin` });
    expect(down.structured).toEqual({
      path: `/home/user/in/odd-${size}.bin`,
      local_path: join(local, `back-${size}.bin`),
      size_bytes: size,
      sha256: sha256(bytes),
      file_id: up.structured.file_id,
      entries: null,
      skipped: null,
    });
    expect((await readFile(join(local, `back-${size}.bin`))).equals(bytes)).toBe(true);
    expect((await stat(join(local, `back-${size}.bin`))).mode & 0o7777).toBe(0o644);
    expect((await readdir(local)).filter((name) => name.startsWith("."))).toEqual([]);
  });
});
