import { type McpServer, type ReadResourceResult, ResourceTemplate } from "@modelcontextprotocol/server";
import { KernelboxError } from "../errors.ts";
import { textOf } from "../events/utf8.ts";
import { typeOfContent } from "../files/media-type.ts";
import { readBytes } from "../files/read-window.ts";
import { readUnchanged } from "../files/unchanged.ts";
import { LIMITS } from "../limits.ts";
import type { Services } from "../tools/define-tool.ts";
import { jsonBytes } from "../tools/reply-size.ts";
import { resourceError } from "./errors.ts";
import { completions } from "./resource-completions.ts";
import { resourcePage } from "./resource-list.ts";

const CACHE = { ttlMs: 0, cacheScope: "private" } as const;

/** Files of sandboxes and what executions left, as resources: whatever a reply links to can be read here. */
export function registerResources(server: McpServer, services: Services, principal: string): void {
  const complete = completions(services, principal);
  const templates: [name: string, template: string, complete: TemplateCompletions, title: string, description: string][] = [
    [
      "files",
      "kernelbox://sandboxes/{sandbox_id}/files/{+path}",
      complete.files,
      "Files of a sandbox",
      "A file by its absolute path in the sandbox.",
    ],
    [
      "file",
      "kernelbox://files/{file_id}",
      complete.identified,
      "File by its id",
      "A file by the file_id that a reply gave: a shared one, or one of a sandbox.",
    ],
    [
      "notebook",
      "kernelbox://contexts/{context_id}/notebook",
      complete.notebook,
      "History of a context",
      "Code and outputs of all its executions, as a Jupyter notebook.",
    ],
    ["execution", "kernelbox://executions/{execution_id}", complete.execution, "Execution", "An execution's code and result as JSON."],
    ["execution_stream", "kernelbox://executions/{execution_id}/{stream}", complete.stream, "Output text", "All of stdout or stderr, raw."],
    [
      "execution_output",
      "kernelbox://executions/{execution_id}/outputs/{n}",
      complete.execution,
      "Output",
      "A picture or other rich output, whole.",
    ],
    [
      "execution_output_form",
      "kernelbox://executions/{execution_id}/outputs/{n}/{+type}",
      complete.execution,
      "Form of an output",
      "By its media type.",
    ],
    [
      "process_stream",
      "kernelbox://processes/{process_id}/{stream}",
      complete.processStream,
      "Output of a process",
      "All that it wrote to stdout or stderr, raw, also while it runs.",
    ],
  ];
  for (const [name, template, complete, title, description] of templates) {
    server.registerResource(
      name,
      new ResourceTemplate(template, { list: undefined, complete }),
      { title, description, cacheHint: CACHE },
      async (uri, _variables, ctx) => await readResource(services, principal, uri.href, ctx.mcpReq.signal),
    );
  }
  // A handler of our own: the SDK would put the lists of all templates together, without pages.
  server.server.setRequestHandler("resources/list", async ({ params }, ctx) => {
    try {
      return await resourcePage(services, { principal, signal: ctx.mcpReq.signal }, params?.cursor);
    } catch (thrown) {
      throw resourceError(KernelboxError.from(thrown));
    }
  });
}

type TemplateCompletions = ConstructorParameters<typeof ResourceTemplate>[1]["complete"];

async function readResource(services: Services, principal: string, uri: string, signal: AbortSignal): Promise<ReadResourceResult> {
  try {
    const { bytes, claimedType } = await readUnchanged(async () => {
      const source = await services.sources.open({ path: uri }, { principal, signal });
      if (source.sizeBytes > LIMITS.resourceBytes) {
        throw tooLarge(`The resource has ${source.sizeBytes} bytes; one read gives at most ${LIMITS.resourceBytes}.`, uri);
      }
      return { bytes: await readBytes(source, 0, LIMITS.resourceBytes), claimedType: source.mimeType };
    });
    const content = await resourceContent(uri, claimedType, bytes);
    if (jsonBytes(content) > LIMITS.replyBytes - LIMITS.replyEnvelopeBytes) {
      throw tooLarge(`The resource's ${bytes.length} bytes take ${jsonBytes(content)} in JSON; one read gives ${LIMITS.replyBytes}.`, uri);
    }
    return { contents: [content] };
  } catch (thrown) {
    throw resourceError(KernelboxError.from(thrown), uri);
  }
}

function tooLarge(message: string, uri: string): KernelboxError {
  return new KernelboxError("too_large", message, `Read it in parts: read_file with path "${uri}" and offset_bytes.`);
}

/** Text where it is text, whatever its name says; only what a host would show otherwise stays bytes. */
async function resourceContent(uri: string, claimedType: string, bytes: Buffer): Promise<ReadResourceResult["contents"][number]> {
  const mimeType = await typeOfContent(claimedType, bytes);
  const text = /^(image\/(?!svg)|application\/pdf)/.test(mimeType) ? undefined : textOf(bytes);
  return text === undefined ? { uri, mimeType, blob: bytes.toString("base64") } : { uri, mimeType, text };
}
