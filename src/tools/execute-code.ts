import * as z from "zod";
import { LIMITS } from "../limits.ts";
import { defineTool } from "./define-tool.ts";
import { executionOutput } from "./execution-output.ts";
import { executionReply } from "./execution-reply.ts";
import { env, language, sandboxId } from "./fields.ts";
import { progressOf } from "./progress.ts";

const { default: foreground, background } = LIMITS.timeoutSeconds;

export const executeCode = defineTool({
  name: "execute_code",
  title: "Execute code",
  description:
    "Run code in a Jupyter kernel inside a sandbox of its own: variables, imports and files persist between calls. The value of the last expression comes back like in a notebook; " +
    "matplotlib figures come back as pictures. The working directory is /home/user (also /mnt/data): files written there are listed in the reply and read with read_file. " +
    'Code that raises is a normal reply with status "error". At timeout_s the code is interrupted, and killed if it does not react; the reply says whether variables survived (state). ' +
    `Code that takes longer than a call may goes on, and the reply has status "running": get_execution waits for it. There is no stdin: pass values as variables instead of input().`,
  tellsNetwork: true,
  effect: "destroy",
  input: {
    code: z.string().describe("Source code, plain."),
    language: language.optional().describe("Default python."),
    context_id: z.string().max(40).optional().describe("Leave out for the default context of the language."),
    sandbox_id: sandboxId,
    timeout_s: z
      .number()
      .positive()
      .max(LIMITS.timeoutSeconds.max)
      .optional()
      .describe(`When to stop the code, in seconds: default ${foreground}, with background ${background}.`),
    background: z.boolean().optional().describe("Answer at once; get_execution tells what comes."),
    idempotency_key: z
      .string()
      .min(1)
      .max(LIMITS.idempotencyKeyCharacters)
      .optional()
      .describe("Makes a retry safe: the same key and code in a context run once, also if you leave."),
    env: env.optional().describe("Environment variables for this run only."),
  },
  output: executionOutput,
  run: async (input, call) => {
    const progress = call.onProgress === undefined ? undefined : progressOf(call.onProgress);
    const request = {
      code: input.code,
      language: input.language,
      contextId: input.context_id,
      sandboxId: input.sandbox_id,
      timeoutSeconds: input.timeout_s,
      env: input.env,
      background: input.background,
      idempotencyKey: input.idempotency_key,
    };
    try {
      const caller = { principal: call.principal, signal: call.signal, onOutput: progress?.onOutput };
      const reply = await call.services.executions.execute(request, caller);
      return await executionReply(reply, (picture, bytesMax) => call.services.pictures.fit(picture, reply.sandboxId, bytesMax, call));
    } finally {
      progress?.stop();
    }
  },
});
