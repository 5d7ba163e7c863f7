import { Readable } from "node:stream";
import { expect, test } from "vitest";
import { type BuildLine, buildLines } from "../../../../src/engines/docker/build-line.ts";
import { LIMITS } from "../../../../src/limits.ts";

async function read(chunks: string[], signal = new AbortController().signal): Promise<BuildLine[]> {
  const lines: BuildLine[] = [];
  for await (const line of buildLines(Readable.from(chunks), signal)) lines.push(line);
  return lines;
}

test("lines come out whole however they are cut, and what is no progress says nothing", async () => {
  const text = '{"stream":"Step 1"}\n{"error":"no space"}\nnoise\nnull\n{"stream":"end"}';
  const lines = [{ stream: "Step 1" }, { error: "no space" }, {}, {}, { stream: "end" }];
  expect(await read([text])).toEqual(lines);
  expect(await read([...text])).toEqual(lines);
});

test("a line that does not end is refused at the bound, not kept for ever", async () => {
  const long = `{"stream":"${"x".repeat(LIMITS.engineLineCharacters - 20)}"}`;
  expect((await read([long]))[0]?.stream).toHaveLength(LIMITS.engineLineCharacters - 20);
  await expect(read([long, "x".repeat(100)])).rejects.toThrow(/too long/);
});

test("an abort ends the stream", async () => {
  const never = new Readable({ read() {} });
  const controller = new AbortController();
  const reading = buildLines(never, controller.signal).next();
  controller.abort(new Error("enough"));
  await expect(reading).rejects.toThrow("enough");
  expect(never.destroyed).toBe(true);
});
