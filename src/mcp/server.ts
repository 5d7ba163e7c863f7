import { type CallToolResult, McpServer, type ServerContext, type StandardSchemaWithJSON } from "@modelcontextprotocol/server";
import * as z from "zod";
import { KernelboxError } from "../errors.ts";
import type { Log } from "../log.ts";
import type { Services, Tool } from "../tools/define-tool.ts";
import { TOOLS } from "../tools/index.ts";
import { VERSION } from "../version.ts";
import { toolResult } from "./content.ts";
import { toolError } from "./errors.ts";
import { registerResources } from "./resources.ts";

const INSTRUCTIONS =
  "Kernelbox runs code in a sandbox of its own: a hardened container without network, with a Jupyter kernel. Start with execute_code: no set-up is needed, and variables and files persist " +
  "between calls. Files live in /home/user inside the sandbox, not on the user's machine; read them with read_file, write them with write_file. " +
  "When a reply says that variables are lost, define again what you need.";

/** An MCP server over the services, for one connection. Pure: it may be called for every connection and every probe. */
export function buildServer(services: Services, principal: string, log: Log): McpServer {
  const server = new McpServer(
    { name: "kernelbox", title: "Kernelbox", version: VERSION },
    { capabilities: { resources: {} }, instructions: INSTRUCTIONS, cacheHints: { "tools/list": { ttlMs: 300_000, cacheScope: "public" } } },
  );
  for (const tool of TOOLS) {
    const config = {
      title: tool.title,
      description: tool.description,
      annotations: { title: tool.title, ...tool.annotations },
      inputSchema: shown(tool.input, "input"),
      outputSchema: shown(tool.output, "output"),
    };
    server.registerTool(
      tool.name,
      config,
      async (args: unknown, ctx: ServerContext) => await callTool(tool, args, ctx, services, principal, log),
    );
  }
  registerResources(server, services, principal);
  return server;
}

async function callTool(
  tool: Tool,
  args: unknown,
  ctx: ServerContext,
  services: Services,
  principal: string,
  log: Log,
): Promise<CallToolResult> {
  try {
    return toolResult(await tool.run(args, { services, principal, signal: ctx.mcpReq.signal, onProgress: progressOf(ctx) }));
  } catch (thrown) {
    const error = KernelboxError.from(thrown);
    if (error.code === "internal") log.error({ err: error, cause: error.cause, tool: tool.name }, "a tool failed");
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

/**
 * Shows the SDK a schema without letting it check: its own refusal could carry neither our code nor our hint, and would strip unknown arguments
 * without a word. The tool checks for itself.
 */
function shown(schema: z.ZodObject, io: "input" | "output"): StandardSchemaWithJSON<Record<string, unknown>> {
  const json = z.toJSONSchema(schema, { io, unrepresentable: "any" }) as Record<string, unknown>;
  return {
    "~standard": {
      version: 1,
      vendor: "kernelbox",
      validate: (value: unknown) => ({ value: (value ?? {}) as Record<string, unknown> }),
      jsonSchema: { input: () => json, output: () => json },
    },
  };
}
