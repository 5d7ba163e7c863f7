import type { Duplex } from "node:stream";
import * as z from "zod";
import { LIMITS } from "../limits.ts";
import type { Log } from "../log.ts";

/** What the proxy tells, one JSON object a line (sandbox/kernelbox/egress). A host is whatever code in the sandbox asked for. */
const messageSchema = z.discriminatedUnion("event", [
  z.object({ event: z.literal("ready") }),
  z.object({
    event: z.literal("request"),
    method: z.string().max(32),
    host: z.string().max(255),
    port: z.number().int().nullable(),
    status: z.number().int(),
    verdict: z.enum(["allowed", "refused"]),
    reason: z.string().max(40).nullish(),
    bytes: z.number().nonnegative(),
    duration_ms: z.number().nonnegative(),
  }),
]);
export type EgressMessage = z.infer<typeof messageSchema>;
export type EgressRequest = Extract<EgressMessage, { event: "request" }>;

/** The messages of a proxy until its stream ends; what is none is passed over. A line without an end is an error. */
export async function* egressMessages(stream: Duplex): AsyncGenerator<EgressMessage> {
  let text = "";
  stream.setEncoding("latin1");
  for await (const chunk of stream as AsyncIterable<string>) {
    const lines = (text + chunk).split("\n");
    text = lines.pop() ?? "";
    if (text.length > LIMITS.egress.lineBytes) throw new Error("The proxy wrote a line that is too long.");
    for (const line of lines) {
      const message = messageSchema.safeParse(parsed(line));
      if (message.success) yield message.data;
    }
  }
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

/** Writes so many requests a second to the log, and counts the others: code in a sandbox must not fill the host's disk with them. */
export class EgressLog {
  readonly #log: Log;
  #second = 0;
  #written = 0;
  #omitted = 0;

  constructor(log: Log) {
    this.#log = log;
  }

  add({ event: _, ...request }: EgressRequest): void {
    const second = Math.floor(Date.now() / 1_000);
    if (second !== this.#second) {
      if (this.#omitted > 0) this.#log.info({ omitted: this.#omitted }, "more network requests, which are not logged one by one");
      this.#second = second;
      this.#written = 0;
      this.#omitted = 0;
    }
    if (this.#written >= LIMITS.egress.logPerSecond) this.#omitted++;
    else {
      this.#written++;
      this.#log.info(request, request.verdict === "allowed" ? "network request" : "network request refused");
    }
  }
}
