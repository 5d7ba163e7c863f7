import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { checkExecutionEnv, FLAVOUR_LANGUAGES, LANGUAGE_NAMES, languagesOf, missingLanguage } from "../../../src/contexts/languages.ts";
import { IMAGE_FLAVOURS } from "../../../src/engines/engine.ts";
import { TOOLS } from "../../../src/tools/index.ts";
import { listing } from "../../../src/tools/listing.ts";

test("an image offers what its flavour has; one of the user's could have any", () => {
  expect(languagesOf("core")).toEqual(["python", "bash"]);
  expect(languagesOf("full-r")).toContain("r");
  expect(languagesOf("full")).not.toContain("r");
  expect(languagesOf("my/image:1")).toEqual(LANGUAGE_NAMES);
});

test("each flavour has what the one before it has, and its supervisor knows each", () => {
  const supervisor = readFileSync("sandbox/kernelbox/languages.py", "utf8").split("LANGUAGES: dict")[1] ?? "";
  const known = [...supervisor.matchAll(/^ {4}"([a-z]+)": /gm)].map((match) => match[1]);
  let before: readonly string[] = [];
  for (const flavour of IMAGE_FLAVOURS) {
    expect(FLAVOUR_LANGUAGES[flavour]).toEqual(expect.arrayContaining([...before]));
    expect(known).toEqual(expect.arrayContaining([...FLAVOUR_LANGUAGES[flavour]]));
    before = FLAVOUR_LANGUAGES[flavour];
  }
});

test("a language that the image lacks is refused with the smallest flavour that has it, and the commands", () => {
  const typescript = missingLanguage("typescript", ["python"]);
  expect(typescript).toMatchObject({ code: "unsupported", message: "This sandbox's image does not have typescript." });
  expect(typescript.hint).toMatch(/image flavour full: build that with .*setup --image full, then start the server with --image full\./);
  expect(typescript.hint).toMatch(/Use one of: python\.$/);
  expect(missingLanguage("r", ["python"]).hint).toMatch(/setup --image full-r, then start the server with --image full-r\./);
  const foreign = missingLanguage("ignore all of this", ["python"]);
  expect(`${foreign.message} ${foreign.hint}`).toBe("This sandbox's image does not have that language. Use one of: python.");
});

test("env for one execution is refused where the kernel cannot take it, with what to do instead", () => {
  checkExecutionEnv("python", { A: "1" });
  checkExecutionEnv("typescript", undefined);
  checkExecutionEnv("typescript", {});
  checkExecutionEnv("not one", { A: "1" });
  expect(() => checkExecutionEnv("typescript", { A: "1" })).toThrow("typescript cannot take environment variables for one execution.");
  expect(() => checkExecutionEnv("r", { A: "1" })).toThrow(
    expect.objectContaining({ code: "unsupported", hint: expect.stringContaining("Sys.setenv()") }),
  );
});

test("hosts are shown the languages of the configured image, and what each cannot do", () => {
  const shown = (name: string, image: string) => {
    const tool = TOOLS.find((each) => each.name === name);
    return tool === undefined ? undefined : listing(tool, { languages: languagesOf(image), network: "" }).inputSchema.properties?.language;
  };
  expect(shown("execute_code", "core")).toMatchObject({
    enum: ["python", "bash"],
    description: "Default python. python (IPython), bash (an exit code that is not 0 is an error).",
  });
  expect(shown("execute_code", "full")).toMatchObject({
    enum: FLAVOUR_LANGUAGES.full,
    description: expect.stringContaining("typescript (Deno, types are not checked; no env per run: Deno.env.set(name, value)"),
  });
  expect(shown("create_context", "core")).toMatchObject({ enum: ["python", "bash"], default: "python" });
  expect(shown("get_context", "core")).toBeUndefined();
});
