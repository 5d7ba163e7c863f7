import type { CallToolResult } from "@modelcontextprotocol/server";
import type { Block, ToolReply } from "../tools/define-tool.ts";

/** A tool's reply in MCP's form: both lanes, the prose with its pictures and links, and the fields. */
export function toolResult(reply: ToolReply<Record<string, unknown>>): CallToolResult {
  return { content: reply.blocks.map(contentBlock), structuredContent: reply.structured };
}

function contentBlock(block: Block): CallToolResult["content"][number] {
  switch (block.type) {
    case "text":
      return { type: "text", text: block.text };
    case "image":
      return { type: "image", data: block.data.toString("base64"), mimeType: block.mimeType };
    case "link":
      return {
        type: "resource_link",
        uri: block.uri,
        name: block.name,
        ...(block.mimeType === undefined ? {} : { mimeType: block.mimeType }),
        ...(block.sizeBytes === undefined ? {} : { size: block.sizeBytes }),
      };
  }
}
