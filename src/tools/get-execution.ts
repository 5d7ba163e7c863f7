import * as z from "zod";
import type { ExecutionReply } from "../contexts/executions.ts";
import { LIMITS } from "../limits.ts";
import { type Block, defineTool } from "./define-tool.ts";
import { eventsPage } from "./execution-events.ts";
import { executionReply, roomBeside } from "./execution-reply.ts";
import { itsSandboxId } from "./fields.ts";
import { progressOf } from "./progress.ts";
import { blocksBytes, jsonBytes } from "./reply-size.ts";
import type { Fit } from "./shown-pictures.ts";

export const getExecution = defineTool({
  name: "get_execution",
  title: "Get execution",
  description:
    "Look at code that runs, waits its turn or has ended, by its execution_id, or wait up to wait_s for its end. Answers like execute_code, with the output so far. " +
    "With after_event (0 for all) also what it said since that event, one by one; last_event is the next after_event.",
  effect: "read",
  input: {
    execution_id: z.string().max(40),
    wait_s: z.number().min(0).max(LIMITS.waitSeconds).default(0),
    after_event: z.number().int().min(0).optional(),
    sandbox_id: itsSandboxId,
  },
  output: {
    status: z.string(),
    execution_id: z.string(),
    events: z.array(z.strictObject({ seq: z.number(), timestamp: z.string(), type: z.string(), data: z.record(z.string(), z.unknown()) })),
    last_event: z.number(),
  },
  isOpen: true,
  run: async (input, call) => {
    const progress = call.onProgress === undefined ? undefined : progressOf(call.onProgress);
    const handle = { executionId: input.execution_id, sandboxId: input.sandbox_id };
    try {
      const caller = { principal: call.principal, signal: call.signal, onOutput: progress?.onOutput };
      const found = await call.services.executions.get(handle, input.wait_s * 1_000, caller);
      const fit = (picture: Buffer, bytesMax: number) => call.services.pictures.fit(picture, found.sandboxId, bytesMax, call);
      return await replyWithEvents(found, input.after_event, fit);
    } finally {
      progress?.stop();
    }
  },
});

/** Without a number no events: the result has what they come to. */
export async function replyWithEvents(found: ExecutionReply, after: number | undefined, makeFit: Fit) {
  const page = after === undefined ? undefined : await eventsPage(found.record, after, roomBeside(found));
  const told = { events: page?.events ?? [], last_event: page?.lastEvent ?? found.record.lastEvent };
  const text: Block[] = page?.text === undefined ? [] : [{ type: "text", text: page.text }];
  const notices = page?.notice === undefined ? found.result.notices : [page.notice, ...found.result.notices];
  const reply = { ...found, result: { ...found.result, notices } };
  const { structured, blocks } = await executionReply(reply, makeFit, jsonBytes(told) + blocksBytes(text));
  return { structured: { ...structured, ...told }, blocks: [...blocks, ...text] };
}
