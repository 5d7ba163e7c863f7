import * as z from "zod";
import { KernelboxError } from "../errors.ts";
import { quoted } from "../events/quoted.ts";
import { defineTool } from "./define-tool.ts";
import { mode, path, sandboxId } from "./fields.ts";

export const writeFile = defineTool({
  name: "write_file",
  title: "Write file",
  description:
    'In the sandbox, not on the user\'s machine: write a text file, or with encoding "base64" any file. It is written under another name first and then put in place, so it is ' +
    "never half there. An existing file is replaced unless overwrite is false.",
  // With append, the same call twice is not the same as once.
  effect: "destroy",
  input: {
    path,
    content: z.string(),
    encoding: z.enum(["utf-8", "base64"]).default("utf-8"),
    mode: mode.optional().describe('Octal, default "644".'),
    create_parents: z.boolean().default(true),
    append: z.boolean().default(false),
    overwrite: z.boolean().default(true),
    sandbox_id: sandboxId,
  },
  output: { path: z.string(), size_bytes: z.number(), created: z.boolean() },
  run: async (input, { services, principal, signal }) => {
    const content = input.encoding === "base64" ? decodeBase64(input.content) : Buffer.from(input.content);
    const request = {
      sandboxId: input.sandbox_id,
      path: input.path,
      content,
      mode: input.mode,
      createParents: input.create_parents,
      append: input.append,
      overwrite: input.overwrite,
    };
    const written = await services.files.write(request, { principal, signal });
    const verb = written.created ? "Created" : input.append ? "Appended to" : "Replaced";
    return {
      structured: { path: written.path, size_bytes: written.sizeBytes, created: written.created },
      blocks: [{ type: "text", text: `${verb} ${quoted(written.path)} (${written.sizeBytes} bytes).` }],
    };
  },
});

function decodeBase64(text: string): Buffer {
  const compact = text.replace(/\s+/g, "");
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(compact) || compact.replace(/=+$/, "").length % 4 === 1) {
    throw new KernelboxError("invalid_argument", "The content is not base64.", 'Encode it as standard base64, or use encoding "utf-8".');
  }
  return Buffer.from(compact, "base64");
}
