import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { expect, it } from "vitest";
import { MessageLines } from "../../../src/mcp/message-lines.ts";

async function pieces(bytesMax: number, chunks: string[]): Promise<string[]> {
  const lines = new MessageLines(bytesMax);
  const found: string[] = [];
  lines.on("data", (piece) => found.push(String(piece)));
  await pipeline(Readable.from(chunks, { objectMode: false }), lines);
  return found;
}

it("passes whole lines on, however they were cut, and several at once where they came so", async () => {
  expect(await pieces(100, ["a", "b", "c\nd", "\ne\nf\ng", "h"])).toEqual(["abc\n", "d\ne\nf\n"]);
});

it("ends at a line over its bound, and not at many below it", async () => {
  await expect(pieces(10, ["12345", "678901"])).rejects.toThrow("more than 10 bytes");
  expect(await pieces(10, Array(50).fill("12345678\n"))).toHaveLength(50);
});
