import type { Readable, Writable } from "node:stream";
import type { JSONRPCMessage } from "@modelcontextprotocol/server";
import { StdioServerTransport, serveStdio } from "@modelcontextprotocol/server/stdio";
import { LIMITS } from "../limits.ts";
import type { Log } from "../log.ts";
import type { Services } from "../tools/define-tool.ts";
import { MessageLines } from "./message-lines.ts";
import { buildServer } from "./server.ts";
import { Listens } from "./subscriptions.ts";

/** On stdio the caller is whoever started this process. */
export const LOCAL_PRINCIPAL = "local";

export interface StdioServer {
  /** Settles when the host is gone: its end of stdin or stdout, or a message of it that cannot be taken. */
  ended: Promise<void>;
  close(): Promise<void>;
}

/** Serves MCP on this process's stdin and stdout, in whichever era the host opens with. */
export function startStdio(services: Services, log: Log): StdioServer {
  const transport = new HostTransport(process.stdin.pipe(new MessageLines(LIMITS.hostMessageBytes)), process.stdout, log, {
    // The lines have been bounded already; several may come in one chunk.
    maxBufferSize: 2 * LIMITS.hostMessageBytes,
  });
  const factory = () => {
    const { server, changes } = buildServer(services, LOCAL_PRINCIPAL, log);
    transport.listens.use(changes);
    return server;
  };
  const { close } = serveStdio(factory, {
    transport,
    onerror: (error) => log.warn({ err: error }, "a message on stdio could not be served"),
  });
  // The SDK has begun to take messages, and none has come yet.
  const take = transport.onmessage;
  transport.onmessage = (message) => {
    transport.listens.incoming(message);
    take?.(message);
  };
  return { ended: transport.ended, close };
}

/** The SDK's, which also tells us when it has closed itself, since `onclose` belongs to whoever serves on it, and what the host listens to. */
class HostTransport extends StdioServerTransport {
  readonly listens: Listens;
  #settle!: () => void;
  readonly ended = new Promise<void>((resolve) => {
    this.#settle = resolve;
  });

  constructor(stdin: Readable, stdout: Writable, log: Log, options: { maxBufferSize: number }) {
    super(stdin, stdout, options);
    this.listens = new Listens(log);
  }

  override async send(message: JSONRPCMessage): Promise<void> {
    await this.listens.outgoing(message);
    await super.send(message);
  }

  override async close(): Promise<void> {
    await super.close();
    this.#settle();
  }
}
