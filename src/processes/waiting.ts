import { StringDecoder } from "node:string_decoder";
import { RE2JS, RE2JSSyntaxException } from "re2js";
import * as z from "zod";
import { KernelboxError } from "../errors.ts";
import { LIMITS } from "../limits.ts";
import { settledWithin } from "../sandboxes/settled-within.ts";
import type { StreamName } from "./output-records.ts";
import type { Process } from "./process.ts";

/** What is waited for besides the end: output that matches, behind these offsets, or somebody who listens on a port. */
export interface WaitFor {
  text?: string | undefined;
  port?: number | undefined;
  offsets: Record<StreamName, number>;
}

const portSchema = z.object({ is_open: z.boolean() });
const READ_BYTES = 64 * 1024;

/** Waits for one process. Patterns are matched in linear time, whatever they are (RE2). */
export class Waiting {
  readonly #process: Process;
  readonly #pattern: RE2JS | undefined;
  readonly #port: number | undefined;
  readonly #looked: Record<StreamName, { offset: number; decoder: StringDecoder; text: string }>;

  constructor(process: Process, { text, port, offsets }: WaitFor) {
    this.#process = process;
    this.#pattern = text === undefined ? undefined : compiled(text);
    this.#port = port;
    const from = (offset: number) => ({ offset, decoder: new StringDecoder(), text: "" });
    this.#looked = { stdout: from(offsets.stdout), stderr: from(offsets.stderr) };
  }

  /** Whether it came before the command's end and the time. */
  async wait(ms: number, signal: AbortSignal | undefined): Promise<boolean> {
    const until = performance.now() + ms;
    while (!signal?.aborted) {
      const change = this.#process.changed();
      const { isRunning } = this.#process;
      try {
        if (await this.#hasText()) return true;
        const left = until - performance.now();
        if (this.#port !== undefined && (await this.#hasPort(Math.min(left, this.#pattern === undefined ? left : 200), signal)))
          return true;
        if (!isRunning || performance.now() >= until) return false;
        if (this.#port === undefined) await settledWithin(Promise.race([change.promise, this.#process.ended]), left, signal);
      } finally {
        change.forget();
      }
    }
    return false;
  }

  async #hasText(): Promise<boolean> {
    if (this.#pattern === undefined) return false;
    for (const name of ["stdout", "stderr"] as const) {
      const looked = this.#looked[name];
      const stream = this.#process.record[name];
      while (looked.offset < stream.bytes) {
        const bytes = await stream.read(looked.offset, READ_BYTES);
        if (bytes.length === 0) break;
        looked.offset += bytes.length;
        looked.text += looked.decoder.write(bytes);
        if (this.#pattern.matcher(looked.text).find()) return true;
        // A match may begin in what came before.
        looked.text = looked.text.slice(-LIMITS.patternWindowCharacters);
      }
    }
    return false;
  }

  async #hasPort(ms: number, signal: AbortSignal | undefined): Promise<boolean> {
    const seconds = Math.max(0, Math.min(ms / 1_000, LIMITS.processFollowSeconds));
    const asking = this.#process.sandbox.request(
      "port.wait",
      { port: this.#port, wait_s: this.#process.isRunning ? seconds : 0 },
      portSchema,
      { signal },
    );
    let isOpen = false;
    await settledWithin(
      Promise.race([asking.then((answer) => (isOpen = answer.is_open)), this.#process.ended]),
      ms + LIMITS.requestMs,
      signal,
    );
    asking.catch(() => {});
    return isOpen;
  }
}

function compiled(text: string): RE2JS {
  try {
    return RE2JS.compile(text, RE2JS.MULTILINE);
  } catch (error) {
    if (!(error instanceof RE2JSSyntaxException)) throw error;
    throw new KernelboxError(
      "invalid_argument",
      "wait_for.text is no regular expression that can be searched for.",
      "Patterns are RE2's: without look-around and back-references; escape ( ) [ ] { } . * + ? | ^ $ \\ to mean the character itself.",
      { cause: error },
    );
  }
}
