import { type CallToolResult, McpServer, type ServerContext, type Tool } from "@modelcontextprotocol/server";
import { KernelboxError } from "../errors.ts";
import type { Log } from "../log.ts";
import type { Services, ToolCall } from "../tools/define-tool.ts";
import { findTool, toolsOf } from "../tools/index.ts";
import { listing } from "../tools/listing.ts";
import { VERSION } from "../version.ts";
import { toolResult } from "./content.ts";
import { toolError } from "./errors.ts";
import type { ResourceChanges } from "./resource-changes.ts";
import { registerResources } from "./resources.ts";
import { tellChanges } from "./subscriptions.ts";

const instructions = (network: string) =>
  "Kernelbox runs code in a sandbox of its own: a hardened container with a Jupyter kernel. Start with execute_code: no set-up is needed, and variables and files persist " +
  `between calls. ${network} Files live in /home/user inside the sandbox, not on the user's machine; read them with read_file, write them with write_file. ` +
  "When a reply says that variables are lost, define again what you need.";

/** An MCP server over the services, for one connection, and what tells its host of changes. Pure: it may be called for every connection and every probe. */
export function buildServer(services: Services, principal: string, log: Log): { server: McpServer; changes: ResourceChanges } {
  const server = new McpServer(
    { name: "kernelbox", title: "Kernelbox", version: VERSION },
    {
      capabilities: { resources: { subscribe: true, listChanged: true }, tools: {} },
      instructions: instructions(services.network),
      cacheHints: { "tools/list": { ttlMs: 300_000, cacheScope: "public" } },
    },
  );
  // Handlers of our own, not the SDK's registry of tools: that checks arguments itself and answers an unknown name with a protocol error, and
  // neither refusal could carry our code and the next step.
  const tools = toolsOf(services.profiles).map((tool) => listing(tool, services) as Tool);
  server.server.setRequestHandler("tools/list", () => ({ tools }));
  server.server.setRequestHandler("tools/call", async ({ params }, ctx) => {
    const call = { services, principal, signal: ctx.mcpReq.signal, onProgress: progressOf(ctx) };
    return await callTool(params.name, params.arguments, call, log);
  });
  registerResources(server, services, principal);
  return { server, changes: tellChanges(server, services, principal) };
}

async function callTool(name: string, args: unknown, call: ToolCall, log: Log): Promise<CallToolResult> {
  try {
    return toolResult(await findTool(name, call.services.profiles).run(args, call));
  } catch (thrown) {
    const error = KernelboxError.from(thrown);
    if (error.code === "internal") log.error({ err: error, cause: error.cause, tool: name }, "a tool failed");
    return toolError(error);
  }
}

/** Progress notifications, where the host asked for them: the number only ever grows, the message says what happens. */
function progressOf(ctx: ServerContext): ((message: string) => void) | undefined {
  const progressToken = ctx.mcpReq._meta?.progressToken;
  if (progressToken === undefined) return undefined;
  let progress = 0;
  return (message) => {
    const params = { progressToken, progress: ++progress, message };
    // A host that is gone will also be noticed elsewhere.
    ctx.mcpReq.notify({ method: "notifications/progress", params }).catch(() => {});
  };
}
