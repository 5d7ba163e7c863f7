import type { Duplex } from "node:stream";
import * as z from "zod";
import { KernelboxError } from "../errors.ts";
import { LIMITS } from "../limits.ts";
import type { NetworkPolicy } from "../sandboxes/network-policy.ts";
import { fetchError } from "./errors.ts";
import type { Manager } from "./requested-packages.ts";

/** What the image's fetcher is asked for (sandbox/kernelbox/fetcher). */
export interface FetchRequest {
  manager: Manager;
  packages: string[];
  /** Of the sandbox, for the words of a refusal. */
  network: NetworkPolicy;
  proxy: string;
  indexes: Record<string, string>;
  /** What the sandbox has beside the image's packages. */
  installed: NamedPackage[];
  timeoutSeconds: number;
}

const name = z.string().regex(/^(?:@[A-Za-z0-9~_.-]{1,100}\/)?[A-Za-z0-9~_.-]{1,214}$/);
const version = z.string().regex(/^[0-9][A-Za-z0-9.!+_-]{0,99}$/);
export const namedPackage = z.object({ name, version });
export type NamedPackage = z.output<typeof namedPackage>;

const answerSchema = z.union([
  z.object({ error: z.looseObject({ code: z.string().max(40) }) }),
  z.object({
    packages: z.array(namedPackage).max(LIMITS.installFiles),
    files: z.array(z.object({ size: z.int().nonnegative().max(LIMITS.installBytes) })).max(LIMITS.installFiles),
  }),
]);

export interface Fetched {
  packages: NamedPackage[];
  sizes: number[];
  /** The files' bytes, one after another, as they come. */
  body: AsyncIterable<Uint8Array>;
}

/** Asks a fetcher, and gives what it has brought as a stream: files may be larger than this server's memory. */
export async function fetchPackages(stream: Duplex, request: FetchRequest): Promise<Fetched> {
  const { manager, packages, proxy, indexes, installed, timeoutSeconds } = request;
  const bounds = { max_bytes: LIMITS.installBytes, cache_bytes: LIMITS.installCacheBytes, timeout_s: timeoutSeconds };
  stream.write(`${JSON.stringify({ manager, packages, proxy, indexes, installed, ...bounds })}\n`);
  const chunks: AsyncIterator<Buffer> = stream[Symbol.asyncIterator]();
  const { line, rest } = await firstLine(chunks);
  const parsed = answerSchema.safeParse(jsonOf(line));
  if (!parsed.success) throw brokenFetcher(parsed.error);
  if ("error" in parsed.data) throw fetchError(parsed.data.error, request);
  const sizes = parsed.data.files.map(({ size }) => size);
  const bytes = sizes.reduce((sum, size) => sum + size, 0);
  if (bytes > LIMITS.installBytes) throw fetchError({ code: "too_large" }, request);
  return { packages: parsed.data.packages, sizes, body: exactly(bytes, rest, chunks) };
}

async function firstLine(chunks: AsyncIterator<Buffer>): Promise<{ line: Buffer; rest: Buffer }> {
  let read: Buffer = Buffer.alloc(0);
  for (;;) {
    const end = read.indexOf("\n");
    if (end >= 0) return { line: read.subarray(0, end), rest: read.subarray(end + 1) };
    if (read.length > LIMITS.fetchLineBytes) throw brokenFetcher();
    read = Buffer.concat([read, await nextChunk(chunks)]);
  }
}

async function* exactly(bytes: number, first: Buffer, chunks: AsyncIterator<Buffer>): AsyncGenerator<Uint8Array> {
  let left = bytes;
  for (let chunk = first; left > 0; chunk = left > 0 ? await nextChunk(chunks) : chunk) {
    const piece = chunk.subarray(0, left);
    left -= piece.length;
    if (piece.length > 0) yield piece;
  }
}

async function nextChunk(chunks: AsyncIterator<Buffer>): Promise<Buffer> {
  const next = await chunks.next().catch((error) => {
    throw brokenFetcher(error);
  });
  if (next.done === true) throw brokenFetcher();
  return next.value;
}

function jsonOf(line: Buffer): unknown {
  try {
    return JSON.parse(line.toString());
  } catch (error) {
    throw brokenFetcher(error);
  }
}

function brokenFetcher(cause?: unknown): KernelboxError {
  return new KernelboxError(
    "internal",
    "What fetches the packages ended before it had brought them.",
    "Try once more; if it happens again, report it with the server's log from stderr.",
    { cause },
  );
}
