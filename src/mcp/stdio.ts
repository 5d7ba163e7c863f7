import { StdioServerTransport, serveStdio } from "@modelcontextprotocol/server/stdio";
import { LIMITS } from "../limits.ts";
import type { Log } from "../log.ts";
import type { Services } from "../tools/define-tool.ts";
import { MessageLines } from "./message-lines.ts";
import { buildServer } from "./server.ts";

/** On stdio the caller is whoever started this process. */
export const LOCAL_PRINCIPAL = "local";

export interface StdioServer {
  /** Settles when the host is gone: its end of stdin or stdout, or a message of it that cannot be taken. */
  ended: Promise<void>;
  close(): Promise<void>;
}

/** Serves MCP on this process's stdin and stdout, in whichever era the host opens with. */
export function startStdio(services: Services, log: Log): StdioServer {
  const transport = new HostTransport(process.stdin.pipe(new MessageLines(LIMITS.hostMessageBytes)), process.stdout, {
    // The lines have been bounded already; several may come in one chunk.
    maxBufferSize: 2 * LIMITS.hostMessageBytes,
  });
  const { close } = serveStdio(() => buildServer(services, LOCAL_PRINCIPAL, log), {
    transport,
    onerror: (error) => log.warn({ err: error }, "a message on stdio could not be served"),
  });
  return { ended: transport.ended, close };
}

/** The SDK's, which also tells us when it has closed itself: `onclose` belongs to whoever serves on it. */
class HostTransport extends StdioServerTransport {
  #settle!: () => void;
  readonly ended = new Promise<void>((resolve) => {
    this.#settle = resolve;
  });

  override async close(): Promise<void> {
    await super.close();
    this.#settle();
  }
}
