import * as z from "zod";
import { LIMITS } from "../limits.ts";
import { defineTool } from "./define-tool.ts";
import { executionOutput } from "./execution-output.ts";
import { executionReply } from "./execution-reply.ts";
import { env, language, sandboxId } from "./fields.ts";
import { progressOf } from "./progress.ts";

export const executeCode = defineTool({
  name: "execute_code",
  title: "Execute code",
  description:
    "Run code in a Jupyter kernel inside a sandbox of its own: variables, imports and files persist between calls. The value of the last expression comes back like in a notebook; " +
    "matplotlib figures come back as pictures. The working directory is /home/user (also /mnt/data): files written there are listed in the reply and read with read_file. " +
    'The sandbox has no network. Code that raises is a normal reply with status "error". At timeout_s the code is interrupted, and killed if it does not react; the reply says whether variables survived (state). ' +
    "There is no stdin: pass values as variables instead of input().",
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
      .default(LIMITS.timeoutSeconds.default)
      .describe("When to stop the code, in seconds."),
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
