import * as z from "zod";
import { LIMITS } from "../limits.ts";
import { defineTool } from "./define-tool.ts";
import { itsSandboxId, processId } from "./fields.ts";
import { terminalSize } from "./run-command.ts";

export const writeProcessInput = defineTool({
  name: "write_process_input",
  title: "Write process input",
  profile: "processes",
  description:
    "Write to the stdin of a process that run_command started in the background or with pty. A line needs its newline. In a terminal \\u0003 is Ctrl-C, \\u0004 the end. get_process with stdout_offset tells what it answers.",
  effect: "write",
  input: {
    process_id: processId,
    data: z.string().max(LIMITS.commandStdinBytes).default(""),
    close: z.boolean().default(false).describe("No more comes: its stdin ends."),
    resize: terminalSize.optional().describe("The terminal's new size."),
    sandbox_id: itsSandboxId,
  },
  output: { process_id: z.string(), written_bytes: z.number() },
  run: async (input, { services, principal, signal }) => {
    const request = {
      processId: input.process_id,
      sandboxId: input.sandbox_id,
      data: input.data,
      close: input.close,
      terminal: input.resize,
    };
    const written = await services.processes.write(request, { principal, signal });
    const text = `${written} bytes written${input.close ? ", and its stdin ended" : ""}.`;
    return { structured: { process_id: input.process_id, written_bytes: written }, blocks: [{ type: "text", text }] };
  },
});
