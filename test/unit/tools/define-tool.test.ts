import { describe, expect, it } from "vitest";
import * as z from "zod";
import { KernelboxError } from "../../../src/errors.ts";
import { LIMITS } from "../../../src/limits.ts";
import { createContext } from "../../../src/tools/create-context.ts";
import { defineTool, type ToolCall } from "../../../src/tools/define-tool.ts";
import { listDirectory } from "../../../src/tools/list-directory.ts";
import { readFile } from "../../../src/tools/read-file.ts";

const callWith = (signal: AbortSignal) => ({ signal }) as ToolCall;

function failing(thrown: unknown) {
  const run = async () => await Promise.reject(thrown);
  return defineTool({ name: "fail", title: "Fail", description: "", effect: "read", input: {}, output: { x: z.string() }, run });
}

describe("what a tool throws", () => {
  it.each([new TypeError("x"), new KernelboxError("internal", "a", "b"), new KernelboxError("not_found", "a", "b"), "text"])(
    "is cancelled where the caller took the call back, whatever it is: %s",
    async (thrown) => {
      await expect(failing(thrown).run({}, callWith(AbortSignal.abort()))).rejects.toMatchObject({ code: "cancelled", cause: thrown });
    },
  );

  it("is itself, or our bug, where they did not", async () => {
    const call = callWith(new AbortController().signal);
    await expect(failing(new TypeError("x")).run({}, call)).rejects.toMatchObject({ code: "internal" });
    await expect(failing(new KernelboxError("not_found", "a", "b")).run({}, call)).rejects.toMatchObject({ code: "not_found" });
  });
});

describe("bounds of arguments", () => {
  const refusal = (tool: typeof readFile, args: object) => tool.run(args, callWith(new AbortController().signal));

  it.each([
    ["name", createContext, { name: "x".repeat(LIMITS.nameCharacters + 1) }],
    ["cwd", createContext, { cwd: "kernelbox://sandboxes/sbx_1/files/home/user" }],
    ["limit", listDirectory, { limit: LIMITS.listEntries.max + 1 }],
    ["depth", listDirectory, { depth: LIMITS.listDepth + 1 }],
    ["path", readFile, { path: "x".repeat(LIMITS.uriCharacters + 1) }],
  ])("%s", async (named, tool, args) => {
    await expect(refusal(tool, args)).rejects.toMatchObject({ code: "invalid_argument", message: expect.stringContaining(`${named}:`) });
  });

  it("let those at the bound through", () => {
    expect(createContext.input.safeParse({ name: "x".repeat(LIMITS.nameCharacters) }).success).toBe(true);
    expect(listDirectory.input.safeParse({ limit: LIMITS.listEntries.max, depth: LIMITS.listDepth }).success).toBe(true);
    const longest = `kernelbox://sandboxes/sbx_AAAAAAAAAAAAAAAAAAAAAA/files/${"%C3".repeat(LIMITS.pathBytes - 1)}`;
    expect(readFile.input.safeParse({ path: longest }).success).toBe(true);
  });
});
