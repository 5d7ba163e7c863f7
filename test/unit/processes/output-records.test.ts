import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { LIMITS } from "../../../src/limits.ts";
import { OutputRecords } from "../../../src/processes/output-records.ts";

function record(stream: number, offset: bigint, bytes: Buffer, size = bytes.length): Buffer {
  const head = Buffer.alloc(13);
  head.writeUInt8(stream, 0);
  head.writeBigUInt64BE(offset, 1);
  head.writeUInt32BE(size, 9);
  return Buffer.concat([head, bytes]);
}

describe("output that a sandbox sends", () => {
  it("comes out as it went in, wherever it is cut", () => {
    const piece = fc.record({
      stream: fc.constantFrom(1, 2),
      offset: fc.bigInt({ min: 0n, max: 2n ** 53n - 1n }),
      bytes: fc.uint8Array({ minLength: 1, maxLength: 50 }),
    });
    fc.assert(
      fc.property(fc.array(piece), fc.array(fc.nat({ max: 40 })), (pieces, cuts) => {
        const whole = Buffer.concat(pieces.map(({ stream, offset, bytes }) => record(stream, offset, Buffer.from(bytes))));
        const records = new OutputRecords();
        const taken = [];
        let at = 0;
        for (const size of [...cuts, whole.length]) {
          taken.push(...records.push(whole.subarray(at, at + size)));
          at = Math.min(whole.length, at + size);
        }
        expect(taken).toEqual(
          pieces.map(({ stream, offset, bytes }) => ({
            stream: stream === 1 ? "stdout" : "stderr",
            offset: Number(offset),
            bytes: Buffer.from(bytes),
          })),
        );
      }),
    );
  });

  it.each([
    ["another stream", record(3, 0n, Buffer.from("x"))],
    ["an offset that no number holds", record(1, 2n ** 60n, Buffer.from("x"))],
    ["nothing", record(1, 0n, Buffer.alloc(0))],
    ["more than a frame holds", record(1, 0n, Buffer.from("x"), LIMITS.frameBytes + 1)],
  ])("is refused where a piece claims %s", (_, bytes) => {
    expect(() => new OutputRecords().push(bytes)).toThrow(expect.objectContaining({ code: "sandbox_lost" }));
  });
});
