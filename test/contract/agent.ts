import type { Duplex } from "node:stream";

/** Runs in a container in place of the supervisor: says that it is ready, then does what the lines on its stdin say. */
const PROGRAM = `
import json, os, signal
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
def read_line():
    line = bytearray()
    while True:
        byte = os.read(0, 1)
        if not byte: os._exit(0)
        if byte == b"\\n": return bytes(line)
        line += byte
def write(data):
    data = memoryview(data)
    while data: data = data[os.write(1, data):]
def reply(value): write(json.dumps(value).encode() + b"\\n")
os.write(2, b"noise on stderr")
write(b"ready\\n")
while True:
    try: exec(json.loads(read_line()), {"os": os, "write": write, "reply": reply})
    except BaseException as error: reply({"raised": repr(error)})
`;

/** -I as the supervisor has it: nothing of the workspace is imported. */
export const AGENT_COMMAND = ["/usr/bin/python3", "-I", "-c", PROGRAM];

/** The agent's other end. */
export class Agent {
  readonly stream: Duplex;
  #buffer: Buffer = Buffer.alloc(0);

  constructor(stream: Duplex) {
    this.stream = stream;
  }

  /** Runs Python whose last word is reply(…). */
  async ask<T>(python: string): Promise<T> {
    this.tell(python);
    const answer: T = JSON.parse(await this.line());
    if (typeof answer === "object" && answer !== null && "raised" in answer) throw new Error(`In the container: ${answer.raised}`);
    return answer;
  }

  tell(python: string): void {
    this.stream.write(`${JSON.stringify(python)}\n`);
  }

  async line(): Promise<string> {
    while (true) {
      const end = this.#buffer.indexOf(10);
      if (end >= 0) return (await this.bytes(end + 1)).subarray(0, -1).toString();
      await this.#more();
    }
  }

  /** Exactly so many bytes. */
  async bytes(count: number): Promise<Buffer> {
    const parts = [this.#buffer];
    let have = this.#buffer.length;
    while (have < count) {
      this.#buffer = Buffer.alloc(0);
      await this.#more();
      parts.push(this.#buffer);
      have += this.#buffer.length;
    }
    const all = parts.length === 1 ? this.#buffer : Buffer.concat(parts);
    this.#buffer = all.subarray(count);
    return all.subarray(0, count);
  }

  async #more(): Promise<void> {
    let chunk: Buffer | null = this.stream.read();
    while (chunk === null) {
      if (this.stream.readableEnded || this.stream.destroyed) throw new Error("The container's stream has ended.");
      await this.#change();
      chunk = this.stream.read();
    }
    this.#buffer = this.#buffer.length === 0 ? chunk : Buffer.concat([this.#buffer, chunk]);
  }
  /** Something to read, or the end. */
  async #change(): Promise<void> {
    const names = ["readable", "end", "close"];
    await new Promise<void>((resolve) => {
      const done = () => {
        for (const name of names) this.stream.off(name, done);
        resolve();
      };
      for (const name of names) this.stream.on(name, done);
    });
  }
}
