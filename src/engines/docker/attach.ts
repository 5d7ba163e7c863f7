import type { Duplex } from "node:stream";
import type Docker from "dockerode";
import { KernelboxError } from "../../errors.ts";
import { AttachedStream } from "./demultiplexer.ts";
import { answered } from "./errors.ts";

/** The container's own stdin and stdout, as one stream. One attached before the start misses nothing. */
export async function attachContainer(container: Docker.Container): Promise<Duplex> {
  const options = { stream: true, hijack: true, stdin: true, stdout: true, stderr: true };
  const connection = await answered("attaching to a container", (abortSignal) => container.attach({ ...options, abortSignal }));
  const stream = new AttachedStream(connection as unknown as Duplex);
  // Until somebody listens, a broken connection shows as a closed stream; an error that nobody hears would end the server.
  stream.on("error", () => {});
  return stream;
}

/** An engine attaches to an ended container as well, and then says nothing for ever. */
export async function attachRunningContainer(docker: Docker, containerId: string): Promise<Duplex> {
  const container = docker.getContainer(containerId);
  const { State } = await answered("looking at a container", (abortSignal) => container.inspect({ abortSignal }));
  if (!State.Running) {
    throw new KernelboxError("not_found", "The container does not run any more.", "Make a new sandbox.");
  }
  return await attachContainer(container);
}
