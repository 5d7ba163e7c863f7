import { randomBytes } from "node:crypto";
import { once } from "node:events";
import type { Duplex } from "node:stream";
import * as z from "zod";
import { isErrorCode, KernelboxError } from "../errors.ts";
import type { ExecutionEvent } from "../events/event.ts";
import { withoutDeepValues } from "../events/json-nesting.ts";
import { LIMITS } from "../limits.ts";
import type { Log } from "../log.ts";
import { ownCommand } from "../own-command.ts";
import { decodeEventMessage } from "./event-message.ts";
import {
  encodeHeader,
  encodeMessage,
  FRAME,
  type Frame,
  FrameDecoder,
  type FrameKind,
  NONCE_BYTES,
  PROTOCOL_VERSION,
  resyncPadding,
} from "./frames.ts";
import { InboundMessages } from "./inbound-messages.ts";
import { type CallOptions, OpenRequest } from "./open-request.ts";

/**
 * One attachment to one supervisor: requests with deadlines, events, credit, heartbeat. A channel is used once; when it ends, whoever
 * owns the sandbox attaches again with the next epoch. Nothing that arrives here is trusted.
 */

export const helloSchema = z.object({
  protocol: z.number().int(),
  epoch: z.number().int().optional(),
  boot_id: z.string().max(64),
  version: z.string().max(64).default(""),
  languages: z.array(z.string().max(32)).max(32).default([]),
  executions: z
    .array(z.object({ execution_id: z.string().max(64), last_event: z.number().int().nonnegative() }))
    .max(10_000)
    .default([]),
});
export type Hello = z.infer<typeof helloSchema>;

const responseSchema = z.union([
  z.object({ error: z.object({ code: z.string(), message: z.string().max(2_000), details: z.record(z.string(), z.unknown()).nullish() }) }),
  z.object({ result: z.record(z.string(), z.unknown()) }),
]);

export interface ChannelOptions {
  /** Greater than any epoch that this supervisor has seen. */
  epoch: number;
  leaseSeconds: number;
  log: Log;
  /** The event, and the bytes of its message: what the supervisor counts as not acknowledged. */
  onEvent: (event: ExecutionEvent, bytes: number) => void;
}

/** A gap in our own ticks as long as this means that this machine slept: the other side is not to blame for the silence. */
const SLEPT_MS = 5_000;

export class Channel {
  /** Settles, never rejects, with the reason when the channel has ended. */
  readonly ended: Promise<KernelboxError>;
  readonly #stream: Duplex;
  readonly #options: ChannelOptions;
  readonly #decoder: FrameDecoder;
  readonly #messages = new InboundMessages();
  readonly #nonce = randomBytes(NONCE_BYTES);
  readonly #requests = new Map<number, OpenRequest>();
  #nextStream = 1;
  #end: KernelboxError | undefined;
  #settleEnded!: (reason: KernelboxError) => void;
  #isFenced = false;
  #hello: Hello | undefined;
  #onHello: (() => void) | undefined;
  #heartbeat: NodeJS.Timeout | undefined;
  #heardAt = performance.now();
  #tickedAt = performance.now();

  private constructor(stream: Duplex, options: ChannelOptions) {
    this.#stream = stream;
    this.#options = options;
    this.#decoder = new FrameDecoder(this.#nonce);
    this.ended = new Promise((resolve) => {
      this.#settleEnded = resolve;
    });
    stream.on("data", (chunk: Buffer) => this.#receive(chunk));
    stream.on("error", (cause) => this.#fail("The stream to the sandbox broke.", cause));
    stream.on("close", () => this.#fail("The stream to the sandbox ended."));
    stream.on("end", () => this.#fail("The stream to the sandbox ended."));
    // A container that ended at once has closed it before anybody listened.
    if (stream.destroyed || stream.readableEnded) queueMicrotask(() => this.#fail("The stream to the sandbox ended."));
  }

  /** Attaches and waits for the supervisor's hello, at most LIMITS.attachMs. */
  static async open(stream: Duplex, options: ChannelOptions): Promise<Channel> {
    const channel = new Channel(stream, options);
    try {
      await channel.#attach();
    } catch (error) {
      channel.close();
      throw error;
    }
    return channel;
  }

  get hello(): Hello {
    if (this.#hello === undefined) throw new TypeError("A channel has a hello once it is open.");
    return this.#hello;
  }

  get isOpen(): boolean {
    return this.#end === undefined;
  }

  /** Why it ended: the very error that open requests failed with. */
  get end(): KernelboxError | undefined {
    return this.#end;
  }

  /** A newer server has attached: the sandbox is no longer ours to attach to. */
  get isFenced(): boolean {
    return this.#isFenced;
  }

  /** Sends a request and gives its result, checked against the schema. */
  async request<T>(method: string, params: Record<string, unknown>, schema: z.ZodType<T>, call: CallOptions = {}): Promise<T> {
    if (this.#end !== undefined) throw this.#end;
    if (call.signal?.aborted) throw KernelboxError.cancelled(call.signal.reason);
    if (this.#requests.size >= LIMITS.openRequests) {
      throw new KernelboxError(
        "limit_exceeded",
        `${LIMITS.openRequests} requests to this sandbox are open already.`,
        "Wait for some to end.",
      );
    }
    const stream = this.#nextStream++;
    const request = new OpenRequest(call, {
      sendCredit: (bytes) => this.#send(FRAME.credit, stream, u32(bytes)),
      sendAbort: () => this.#send(FRAME.abort, stream, EMPTY),
    });
    this.#requests.set(stream, request);
    try {
      this.#send(FRAME.request, stream, Buffer.from(JSON.stringify({ method, params })));
      const sending = call.body === undefined ? undefined : this.#upload(stream, request, call.body);
      // An answer that comes before the body was sent is a refusal, and a body that fails is no reason to wait for one.
      const answered = sending === undefined ? request.response : Promise.race([request.response, sending.then(() => request.response)]);
      return readResponse(await answered, schema);
    } finally {
      this.#requests.delete(stream);
      request.dispose();
    }
  }

  /** A request that wants no answer. */
  notify(method: string, params: Record<string, unknown>): void {
    if (this.#end === undefined) this.#send(FRAME.request, 0, Buffer.from(JSON.stringify({ method, params })));
  }

  close(): void {
    this.#finish(new KernelboxError("sandbox_lost", "The channel to the sandbox was closed.", "Make a new sandbox."));
  }

  async #attach(): Promise<void> {
    if (this.#options.epoch > 1) this.#stream.write(resyncPadding());
    const attach = {
      protocol: PROTOCOL_VERSION,
      epoch: this.#options.epoch,
      nonce: this.#nonce.toString("hex"),
      lease_s: this.#options.leaseSeconds,
    };
    const answered = new Promise<void>((resolve) => {
      this.#onHello = resolve;
    });
    this.#send(FRAME.attach, 0, Buffer.from(JSON.stringify(attach)));
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        reject(
          new KernelboxError(
            "deadline_exceeded",
            `The sandbox's supervisor did not answer within ${LIMITS.attachMs} ms.`,
            `Try again; if it happens again, look at everything: ${ownCommand("doctor")}`,
          ),
        );
      }, LIMITS.attachMs);
    });
    const broken = this.ended.then((reason) => {
      throw reason;
    });
    try {
      await Promise.race([answered, late, broken]);
    } finally {
      clearTimeout(timer);
      broken.catch(() => {});
    }
    if (this.hello.protocol !== PROTOCOL_VERSION) {
      throw new KernelboxError(
        "engine_unavailable",
        `The image's supervisor speaks protocol ${this.hello.protocol}, this server ${PROTOCOL_VERSION}.`,
        `Build the image of this version: ${ownCommand("setup")}`,
      );
    }
    this.#heartbeat = setInterval(() => this.#beat(), LIMITS.pingIntervalMs);
    this.#heartbeat.unref();
  }

  #beat(): void {
    const now = performance.now();
    if (now - this.#tickedAt > SLEPT_MS) this.#heardAt = now;
    this.#tickedAt = now;
    if (now - this.#heardAt > LIMITS.pongMs) this.#fail(`The sandbox's supervisor was silent for ${LIMITS.pongMs} ms.`);
    else this.#send(FRAME.ping, 0, Buffer.alloc(8));
  }

  async #upload(stream: number, request: OpenRequest, body: Iterable<Uint8Array> | AsyncIterable<Uint8Array>): Promise<void> {
    for await (const chunk of body) {
      for (let at = 0; at < chunk.length; ) {
        const piece = await request.spendCredit(Math.min(chunk.length - at, LIMITS.frameBytes));
        // An answer before the end of the body is an error: the rest need not be sent.
        if (piece === 0) return;
        this.#sendData(stream, chunk.subarray(at, at + piece));
        at += piece;
        if (this.#stream.writableLength > LIMITS.channelWriteBytes) await this.#drained();
      }
    }
    this.#send(FRAME.end, stream, EMPTY);
  }

  #send(kind: FrameKind, stream: number, payload: Uint8Array): void {
    if (this.#end !== undefined || !this.#stream.writable) return;
    for (const frame of encodeMessage(kind, stream, payload)) this.#stream.write(frame);
  }

  /** The payload is not copied: header and payload leave in one write. */
  #sendData(stream: number, payload: Uint8Array): void {
    if (this.#end !== undefined || !this.#stream.writable) return;
    this.#stream.cork();
    this.#stream.write(encodeHeader(FRAME.data, stream, payload.length));
    this.#stream.write(payload);
    this.#stream.uncork();
  }

  /** Until the stream takes more, or is gone. */
  async #drained(): Promise<void> {
    const done = new AbortController();
    const events = ["drain", "close"].map((event) => once(this.#stream, event, { signal: done.signal }));
    await Promise.race(events).catch(() => {});
    done.abort();
    await Promise.allSettled(events);
  }

  #receive(chunk: Buffer): void {
    if (this.#end !== undefined) return;
    this.#heardAt = performance.now();
    try {
      for (const frame of this.#decoder.push(chunk)) this.#handle(frame);
    } catch (error) {
      if (error instanceof KernelboxError) this.#finish(error);
      else this.#fail("The sandbox broke the channel's protocol.", error);
    }
  }

  #handle(frame: Frame): void {
    switch (frame.kind) {
      case FRAME.hello: {
        // A hello that is not the answer to our attach is the answer to a newer server's: it owns the sandbox now.
        if (this.#hello !== undefined) {
          this.#isFenced = true;
          this.#fail("Another server has taken this sandbox over.");
          return;
        }
        this.#hello = helloSchema.parse(JSON.parse(frame.payload.toString("utf8", NONCE_BYTES)));
        this.#onHello?.();
        return;
      }
      case FRAME.response: {
        const whole = this.#messages.add(frame);
        if (whole !== undefined) this.#requests.get(frame.stream)?.answer(whole);
        return;
      }
      case FRAME.event: {
        const whole = this.#messages.add(frame);
        if (whole === undefined) return;
        const event = decodeEventMessage(whole);
        if (event === undefined) this.#fail("The sandbox sent an event that breaks the channel's protocol.");
        else this.#options.onEvent(event, whole.length);
        return;
      }
      case FRAME.data:
        this.#requests.get(frame.stream)?.receive(frame.payload);
        return;
      case FRAME.credit:
        if (frame.payload.length === 4) this.#requests.get(frame.stream)?.addCredit(frame.payload.readUInt32BE(0));
        return;
      default:
        // `end` says nothing that the response behind it does not say, and a pong was counted as a sign of life already.
        return;
    }
  }

  #fail(message: string, cause?: unknown): void {
    this.#finish(
      new KernelboxError("sandbox_lost", message, "Make a new sandbox, or call again without ids; variables and files are gone.", {
        cause,
      }),
    );
  }

  #finish(reason: KernelboxError): void {
    if (this.#end !== undefined) return;
    this.#end = reason;
    clearInterval(this.#heartbeat);
    this.#stream.destroy();
    for (const request of this.#requests.values()) request.fail(reason);
    this.#settleEnded(reason);
  }
}

const EMPTY = Buffer.alloc(0);

function u32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function readResponse<T>(payload: Buffer, schema: z.ZodType<T>): T {
  const malformed = (cause?: unknown) =>
    new KernelboxError("sandbox_lost", "The sandbox answered with something that is not a response.", "Make a new sandbox.", { cause });
  let json: unknown;
  try {
    json = JSON.parse(withoutDeepValues(payload).toString());
  } catch (cause) {
    throw malformed(cause);
  }
  const response = responseSchema.safeParse(json);
  if (!response.success) throw malformed(response.error);
  if ("error" in response.data) throw errorFromSandbox(response.data.error);
  const result = schema.safeParse(response.data.result);
  if (!result.success) throw malformed(result.error);
  return result.data;
}

/**
 * What the supervisor reports, as our own error. Its words are ours as long as the supervisor is, which nobody outside can know: so
 * they go into `details`, and whoever made the request puts its own words to the code.
 */
function errorFromSandbox(error: { code: string; message: string; details?: Record<string, unknown> | null | undefined }): KernelboxError {
  const code = isErrorCode(error.code) ? error.code : "internal";
  return new KernelboxError(code, "The sandbox refused the request.", "See the details.", {
    details: { sandbox_message: error.message, ...error.details },
  });
}
