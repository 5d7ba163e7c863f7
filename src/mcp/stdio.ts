import { serveStdio } from "@modelcontextprotocol/server/stdio";
import type { Log } from "../log.ts";
import type { Services } from "../tools/define-tool.ts";
import { buildServer } from "./server.ts";

/** On stdio the caller is whoever started this process. */
export const LOCAL_PRINCIPAL = "local";

/** Serves MCP on this process's stdin and stdout, in whichever era the host opens with. */
export function startStdio(services: Services, log: Log): { close(): Promise<void> } {
  return serveStdio(() => buildServer(services, LOCAL_PRINCIPAL, log), {
    onerror: (error) => log.warn({ err: error }, "a message on stdio could not be served"),
  });
}
