import { LIMITS } from "../limits.ts";
import type { Block, ToolReply } from "./define-tool.ts";

/** Whether a finished reply, both lanes together and escaped as JSON, is within what hosts take. */
export function fits(reply: ToolReply<object>): boolean {
  return replyBytes(reply) <= LIMITS.replyBytes;
}

export function replyBytes(reply: ToolReply<object>): number {
  return LIMITS.replyEnvelopeBytes + jsonBytes(reply.structured) + blocksBytes(reply.blocks);
}

export function blocksBytes(blocks: Block[]): number {
  return blocks.reduce((sum, block) => sum + blockBytes(block), 0);
}

export function jsonBytes(value: unknown): number {
  return Buffer.byteLength(JSON.stringify(value) ?? "null");
}

export function base64Bytes(bytes: number): number {
  return Math.ceil(bytes / 3) * 4;
}

/** What MCP's form of a block has beside our fields: longer names of members and a comma. */
const BLOCK_FORM_BYTES = 40;

function blockBytes(block: Block): number {
  if (block.type !== "image") return jsonBytes(block) + BLOCK_FORM_BYTES;
  return base64Bytes(block.data.length) + jsonBytes(block.mimeType) + BLOCK_FORM_BYTES;
}

/** The largest count up to `max` that fits; 0 where none does. What fits must also fit with less. */
export function mostThatFit(max: number, isFit: (count: number) => boolean): number {
  let low = 0;
  let high = Math.max(0, max);
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (isFit(middle)) low = middle;
    else high = middle - 1;
  }
  return low;
}
