import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { duplexPair, type Readable, type Writable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { AttachedStream } from "../../../../src/engines/docker/demultiplexer.ts";
import { LIMITS } from "../../../../src/limits.ts";
import { processorMs } from "../../../helpers/processor-time.ts";

const STDOUT = 1;
const STDERR = 2;

function piece(stream: number, payload: Buffer | string): Buffer {
  const bytes = Buffer.from(payload);
  const header = Buffer.alloc(8);
  header[0] = stream;
  header.writeUInt32BE(bytes.length, 4);
  return Buffer.concat([header, bytes]);
}

function sized(bytes: number): Buffer {
  const header = piece(STDOUT, "").subarray(0, 8);
  header.writeUInt32BE(bytes, 4);
  return Buffer.concat([header, Buffer.from("x")]);
}

interface Opened extends AsyncDisposable {
  /** The engine's end of the connection. */
  engine: net.Socket;
  stream: AttachedStream;
}

/** A real socket: pairs of streams in memory neither close each other nor have a kernel's buffers between them. */
async function opened(): Promise<Opened> {
  const folder = await mkdtemp(join(tmpdir(), "kernelbox-"));
  const server = net.createServer({ allowHalfOpen: true });
  await new Promise<void>((resolve) => server.listen(join(folder, "engine.sock"), resolve));
  const accepted = once(server, "connection");
  const stream = new AttachedStream(net.connect(join(folder, "engine.sock")));
  const [engine]: net.Socket[] = await accepted;
  if (engine === undefined) throw new Error("No connection.");
  engine.on("error", () => {});
  return {
    engine,
    stream,
    [Symbol.asyncDispose]: async () => {
      stream.destroy();
      engine.destroy();
      server.close();
      await rm(folder, { recursive: true });
    },
  };
}

async function readAll(stream: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

async function timeMs(work: () => Promise<unknown>): Promise<number> {
  const startedAt = processorMs();
  await work();
  return processorMs() - startedAt;
}

/** Shorter times say more about the machine's other work than about ours. */
const TIME_FLOOR_MS = 10;

/** The best of three: a busy machine makes single runs slow, never fast. */
async function bestMs(work: () => Promise<unknown>): Promise<number> {
  const times: number[] = [];
  for (let run = 0; run < 3; run++) times.push(await timeMs(work));
  return Math.max(TIME_FLOOR_MS, Math.min(...times));
}

/** Through a pair in memory, which hands chunks on as they are. */
async function demultiplex(bytes: Buffer, chunkBytes: number): Promise<number> {
  const [engine, connection] = duplexPair();
  const received = readAll(new AttachedStream(connection));
  for (let at = 0; at < bytes.length; at += chunkBytes) {
    if (!engine.write(bytes.subarray(at, at + chunkBytes))) await once(engine, "drain");
  }
  engine.end();
  return (await received).length;
}

/** Writes until nobody takes more for a moment; gives the bytes that were written. */
async function fill(writable: Writable, chunk: Buffer): Promise<number> {
  let chunks = 0;
  while (chunks < 10_000) {
    chunks++;
    if (writable.write(chunk)) continue;
    const hasDrained = await Promise.race([once(writable, "drain").then(() => true), sleep(200, false)]);
    if (!hasDrained) break;
  }
  return chunks * chunk.length;
}

test("stdout comes out, stderr does not, however the bytes are cut", async () => {
  const bytes = Buffer.concat([
    piece(STDOUT, "one "),
    piece(STDERR, "noise"),
    piece(STDOUT, ""),
    piece(STDOUT, "two "),
    piece(STDOUT, "three"),
  ]);
  for (const cut of [1, 2, 3, 7, 8, 9, 13, bytes.length]) {
    await using pair = await opened();
    const { engine, stream } = pair;
    const received = readAll(stream);
    for (let at = 0; at < bytes.length; at += cut) engine.write(bytes.subarray(at, at + cut));
    engine.end();
    expect((await received).toString(), `cut at ${cut}`).toBe("one two three");
  }
});

test("what is written arrives unframed and in order", async () => {
  await using pair = await opened();
  const { engine, stream } = pair;
  const received = readAll(engine);
  for (const word of ["a", "b", "c"]) stream.write(word);
  stream.end("d");
  engine.end();
  expect((await received).toString()).toBe("abcd");
});

test.for([
  ["an unknown stream", Buffer.from([7, 0, 0, 0, 0, 0, 0, 1, 65])],
  ["bytes that are no zeros", Buffer.from([1, 9, 0, 0, 0, 0, 0, 1, 65])],
  ["a length over the bound", sized(LIMITS.enginePieceBytes + 1)],
  ["text of a terminal", Buffer.from("hello, no header")],
] as const)("a header with %s is an error", async ([, bytes]) => {
  await using pair = await opened();
  const { engine, stream } = pair;
  engine.write(piece(STDOUT, "good"));
  engine.write(bytes);
  await expect(readAll(stream)).rejects.toThrow(/unknown form/);
  expect(stream.destroyed).toBe(true);
});

test("an end within a piece is an error, so that no one takes half an output for a whole one", async () => {
  await using pair = await opened();
  const { engine, stream } = pair;
  engine.end(piece(STDOUT, "whole").subarray(0, 10));
  await expect(readAll(stream)).rejects.toThrow(/ended within a piece/);
});

test("a reader that sleeps holds the engine back, and loses nothing", async () => {
  await using pair = await opened();
  const chunk = piece(STDOUT, Buffer.alloc(16 * 1024, 120));
  const written = await fill(pair.engine, chunk);
  expect(written).toBeLessThan(4 * 1024 * 1024);
  expect(pair.stream.readableLength).toBeLessThan(256 * 1024);
  const received = readAll(pair.stream);
  pair.engine.end();
  expect((await received).length).toBe((written / chunk.length) * 16 * 1024);
});

test("an engine that does not read holds the writer back, and gets everything in the end", async () => {
  await using pair = await opened();
  pair.engine.pause();
  const written = await fill(pair.stream, Buffer.alloc(16 * 1024, 120));
  expect(written).toBeLessThan(4 * 1024 * 1024);
  const received = readAll(pair.engine);
  pair.stream.end();
  expect((await received).length).toBe(written);
});

test("destroy closes the connection, and fails what was not written yet", async () => {
  await using pair = await opened();
  pair.engine.pause();
  await fill(pair.stream, Buffer.alloc(16 * 1024));
  const unwritten = new Promise((resolve) => pair.stream.write("late", resolve));
  pair.stream.destroy();
  pair.engine.resume();
  await Promise.race([once(pair.engine, "end"), once(pair.engine, "close")]);
  expect(await unwritten).toBeInstanceOf(Error);
});

test("a connection that closes destroys the stream", async () => {
  await using pair = await opened();
  pair.engine.destroy();
  pair.stream.resume();
  await once(pair.stream, "close");
  expect(pair.stream.destroyed).toBe(true);
});

test("one piece of 64 MB in chunks of 64 KB takes linear time", async () => {
  const MB = 1024 * 1024;
  const small = piece(STDOUT, Buffer.alloc(8 * MB));
  const large = piece(STDOUT, Buffer.alloc(64 * MB));
  expect(await demultiplex(large, 64 * 1024)).toBe(64 * MB);
  const ratio = (await bestMs(() => demultiplex(large, 64 * 1024))) / (await bestMs(() => demultiplex(small, 64 * 1024)));
  // Linear is 8, quadratic 64.
  expect(ratio).toBeLessThan(32);
}, 60_000);

test("a hundred thousand pieces of one byte in one chunk take linear time and no stack", async () => {
  const few = Buffer.concat(Array.from({ length: 12_500 }, () => piece(STDOUT, "x")));
  const many = Buffer.concat(Array.from({ length: 100_000 }, () => piece(STDOUT, "x")));
  expect(await demultiplex(many, many.length)).toBe(100_000);
  const ratio = (await bestMs(() => demultiplex(many, many.length))) / (await bestMs(() => demultiplex(few, few.length)));
  expect(ratio).toBeLessThan(32);
}, 60_000);
