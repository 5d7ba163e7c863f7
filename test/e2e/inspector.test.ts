import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { SERVER } from "../helpers/client.ts";
import { guardAgainstLeaks } from "../helpers/containers.ts";

guardAgainstLeaks();

const INSPECTOR = join(import.meta.dirname, "../../node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js");

let home: string;
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), "kb-inspector-"));
});
afterAll(async () => await rm(home, { recursive: true, force: true }));

/** The official Inspector's command line, as a user would call it. */
async function inspect(
  ...args: string[]
): Promise<{ tools: { name: string }[]; content: { type: string; text: string }[]; structuredContent: { result: string } }> {
  const { stdout } = await promisify(execFile)(process.execPath, [INSPECTOR, "--cli", process.execPath, ...SERVER, ...args], {
    env: { PATH: process.env.PATH, HOME: home, TMPDIR: tmpdir() },
    timeout: 100_000,
    maxBuffer: 16 * 1024 * 1024,
  });
  return JSON.parse(stdout.slice(stdout.indexOf("{")));
}

describe.each(["legacy", "modern"])("the official Inspector, %s era", (era) => {
  it("lists the tools, and finds their schemas fit for every host", async () => {
    const { tools } = await inspect("--method", "tools/list", "--protocol-era", era, "--strict");
    expect(tools.map((tool) => tool.name)).toContain("execute_code");
  });

  it("calls execute_code", async () => {
    const reply = await inspect("--protocol-era", era, "--method", "tools/call", "--tool-name", "execute_code", "--tool-arg", "code=6 * 7");
    expect(reply.structuredContent.result).toBe("42");
    expect(reply.content[0]?.text).toContain("42");
  });
});
