import { randomBytes } from "node:crypto";
import { describe, expect, it } from "vitest";
import { encodeFrame, encodeMessage, FRAME, type Frame, FrameDecoder, HEADER_BYTES, resyncPadding } from "../../../src/channel/frames.ts";
import { InboundMessages } from "../../../src/channel/inbound-messages.ts";
import { KernelboxError } from "../../../src/errors.ts";
import { LIMITS } from "../../../src/limits.ts";
import { processorMs } from "../../helpers/processor-time.ts";

const nonce = randomBytes(16);
const hello = encodeFrame(FRAME.hello, 0, Buffer.concat([nonce, Buffer.from("{}")]));

function synced(): FrameDecoder {
  const decoder = new FrameDecoder(nonce);
  expect(decoder.push(hello)).toHaveLength(1);
  return decoder;
}

describe("frames", () => {
  it("come out as they went in, however the stream is cut", () => {
    const payloads = [0, 1, 9, 10, 11, 1_000, LIMITS.frameBytes].map((size) => randomBytes(size));
    const kinds = [FRAME.response, FRAME.data];
    const stream = Buffer.concat([hello, ...payloads.flatMap((payload, n) => kinds.map((kind) => encodeFrame(kind, n, payload)))]);
    for (const cut of [() => 1, () => 7, () => 65_536, () => 1 + Math.floor(Math.random() * 5_000)]) {
      const decoder = new FrameDecoder(nonce);
      const frames: Frame[] = [];
      for (let at = 0; at < stream.length; ) {
        const size = cut();
        frames.push(...decoder.push(stream.subarray(at, at + size)));
        at += size;
      }
      const streams = frames.slice(1).map((frame) => frame.stream);
      expect(streams).toEqual(streams.toSorted((a, b) => a - b));
      for (const [n, payload] of payloads.entries()) {
        const of = (kind: number) => frames.filter((frame) => frame.kind === kind && frame.stream === n).map((frame) => frame.payload);
        expect(of(FRAME.response)).toHaveLength(1);
        for (const kind of kinds) expect(Buffer.concat(of(kind)).equals(payload)).toBe(true);
      }
    }
  });

  it("of data are handed on before they are whole", () => {
    const decoder = synced();
    const whole = encodeFrame(FRAME.data, 5, Buffer.from("abcdef"));
    const pieces = [whole.subarray(0, 12), whole.subarray(12)].map((chunk) => decoder.push(chunk));
    expect(pieces.map((frames) => frames.map(({ stream, payload }) => [stream, payload.toString()]))).toEqual([[[5, "ab"]], [[5, "cdef"]]]);
  });

  it("are found again behind the end of a frame that was meant for another server", () => {
    for (const before of [randomBytes(3), encodeFrame(FRAME.data, 1, randomBytes(500)).subarray(200), Buffer.alloc(70_000, 0x4b)]) {
      const decoder = new FrameDecoder(nonce);
      const stream = Buffer.concat([before, hello, encodeFrame(FRAME.pong, 0, Buffer.alloc(8))]);
      const frames = [...stream].flatMap((byte) => decoder.push(Buffer.from([byte])));
      expect(frames.map((frame) => frame.kind)).toEqual([FRAME.hello, FRAME.pong]);
    }
  });

  it("skips zeros between frames", () => {
    const frames = synced().push(Buffer.concat([resyncPadding(), encodeFrame(FRAME.pong, 0, Buffer.alloc(8)), Buffer.alloc(5)]));
    expect(frames).toHaveLength(1);
  });

  it.each([
    ["a wrong first byte", Buffer.from("hello, I am not a frame")],
    ["an unknown kind", Buffer.from([0x4b, 99, 0, 0, 0, 0, 0, 0, 0, 0])],
    ["a length over the bound", Buffer.from([0x4b, FRAME.data, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff])],
  ])("refuses %s before anything is allocated for it", (_, bytes) => {
    expect(() => synced().push(bytes)).toThrow(KernelboxError);
  });

  it("refuses to make a frame over the bound", () => {
    expect(() => encodeFrame(FRAME.data, 1, Buffer.alloc(LIMITS.frameBytes + 1))).toThrow(RangeError);
  });

  it("takes time in proportion to the bytes: 64 MB in small pieces, and 100,000 frames in one", () => {
    const time = (work: () => void) => {
      const startedAt = processorMs();
      work();
      return processorMs() - startedAt;
    };
    const payload = Buffer.alloc(LIMITS.frameBytes);
    const pieces = (megabytes: number) => {
      const decoder = synced();
      for (let n = 0; n < megabytes * 4; n++) {
        const frame = encodeFrame(FRAME.data, 1, payload);
        for (let at = 0; at < frame.length; at += 4_096) decoder.push(frame.subarray(at, at + 4_096));
      }
    };
    pieces(4);
    const [small, large] = [time(() => pieces(8)), time(() => pieces(64))];
    expect(large / small).toBeLessThan(8 * 4);
    const many = Buffer.concat(Array.from({ length: 100_000 }, () => encodeFrame(FRAME.pong, 0, Buffer.alloc(8))));
    expect(synced().push(many)).toHaveLength(100_000);
  });
});

describe("messages of several frames", () => {
  const frames = (bytes: number) => {
    const decoder = synced();
    return [...encodeMessage(FRAME.event, 0, Buffer.alloc(bytes, 1))].flatMap((frame) => decoder.push(frame));
  };

  it.each([0, LIMITS.frameBytes, LIMITS.frameBytes + 1, 3 * LIMITS.frameBytes])("are joined: %i bytes", (bytes) => {
    const messages = new InboundMessages();
    const whole = frames(bytes).map((frame) => messages.add(frame));
    expect(whole.slice(0, -1).every((part) => part === undefined)).toBe(true);
    expect(whole.at(-1)).toHaveLength(bytes);
  });

  it("are bounded over all that are unfinished", () => {
    const messages = new InboundMessages();
    const part = { kind: FRAME.event, more: true, payload: Buffer.alloc(LIMITS.frameBytes) };
    const pieces = LIMITS.messageBytes / LIMITS.frameBytes;
    for (let stream = 0; stream < pieces; stream++) messages.add({ ...part, stream });
    expect(() => messages.add({ ...part, stream: 1 })).toThrow(/more than/);
  });

  it("begin with a header of ten bytes", () => expect(HEADER_BYTES).toBe(10));
});
