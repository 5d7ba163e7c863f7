import type { Duplex } from "node:stream";
import { createDockerEngine } from "../src/engines/docker/index.ts";
import type { Engine } from "../src/engines/engine.ts";
import { LIMITS } from "../src/limits.ts";
import { createLog } from "../src/log.ts";

/** Reads an order a line: so many bytes in, by `dd` (`cat` would wait for an end that a stream which stays open never has), or out, by `cat`. */
const PROGRAM = `while read -r way bytes; do
  if [ "$way" = up ]; then dd of=/home/user/file bs=128K count="$bytes" iflag=fullblock,count_bytes status=none; echo; else cat /home/user/file; fi
done`;

/**
 * The floor of every transfer: a container whose stdin and stdout are attached as our channel's are, with nothing between them and a file but two of
 * the system's own programs.
 */
export class RawStream {
  readonly containerId: string;
  readonly #engine: Engine;
  readonly #stream: Duplex;
  #received = 0;
  #onReceived: () => void = () => {};

  private constructor(engine: Engine, containerId: string, stream: Duplex) {
    this.#engine = engine;
    this.containerId = containerId;
    this.#stream = stream;
    stream.on("data", (chunk: Buffer) => {
      this.#received += chunk.length;
      this.#onReceived();
    });
  }

  static async start(image: string, labels: Record<string, string>): Promise<RawStream> {
    const engine = createDockerEngine({ log: createLog("silent"), command: ["/bin/bash", "-c", PROGRAM] });
    const { memoryBytes, workspaceBytes, cpus, pids } = LIMITS.container;
    const spec = { name: "kernelbox-raw", image, labels, memoryBytes, workspaceBytes, cpus, pids };
    const { containerId, stream } = await engine.create(spec);
    return new RawStream(engine, containerId, stream);
  }

  async up(pieces: Iterable<Buffer>, bytes: number): Promise<void> {
    const done = this.#receive(1);
    this.#stream.write(`up ${bytes}\n`);
    for (const piece of pieces) {
      if (!this.#stream.write(piece)) await new Promise((resolve) => this.#stream.once("drain", resolve));
    }
    await done;
  }

  async down(bytes: number): Promise<void> {
    const done = this.#receive(bytes);
    this.#stream.write("down\n");
    await done;
  }

  async close(): Promise<void> {
    this.#stream.destroy();
    await this.#engine.destroy(this.containerId);
  }

  #receive(bytes: number): Promise<void> {
    this.#received = 0;
    return new Promise((resolve) => {
      this.#onReceived = () => {
        if (this.#received >= bytes) resolve();
      };
    });
  }
}
