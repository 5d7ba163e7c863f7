import { type ListResourcesResult, type McpServer, type ReadResourceResult, ResourceTemplate } from "@modelcontextprotocol/server";
import { KernelboxError } from "../errors.ts";
import type { FileEntry } from "../files/files.ts";
import { typeOfContent, typeOfName } from "../files/media-type.ts";
import { legible } from "../files/quoted.ts";
import { readBytes } from "../files/read-window.ts";
import { fileUri } from "../files/uris.ts";
import { textOf } from "../files/utf8.ts";
import { LIMITS } from "../limits.ts";
import type { Services } from "../tools/define-tool.ts";
import { jsonBytes } from "../tools/reply-size.ts";
import { resourceError } from "./errors.ts";

const CACHE = { ttlMs: 0, cacheScope: "private" } as const;

/** Files of sandboxes and what executions left, as resources: whatever a reply links to can be read here. */
export function registerResources(server: McpServer, services: Services, principal: string): void {
  const read = async (uri: URL, _variables: unknown, ctx: { mcpReq: { signal: AbortSignal } }) =>
    await readResource(services, principal, uri.href, ctx.mcpReq.signal);
  server.registerResource(
    "files",
    new ResourceTemplate("kernelbox://sandboxes/{sandbox_id}/files/{+path}", {
      list: async (ctx) => ({ resources: await listFiles(services, principal, ctx.mcpReq.signal) }),
    }),
    { title: "Files of a sandbox", description: "A file by its absolute path in the sandbox.", cacheHint: CACHE },
    read,
  );
  const executions: [name: string, template: string, title: string, description: string][] = [
    ["execution", "kernelbox://executions/{execution_id}", "Execution", "An execution's result as JSON."],
    ["execution_stream", "kernelbox://executions/{execution_id}/{stream}", "Output text", "All of stdout or stderr, raw."],
    ["execution_output", "kernelbox://executions/{execution_id}/outputs/{n}", "Output", "A picture or other rich output, whole."],
    ["execution_output_form", "kernelbox://executions/{execution_id}/outputs/{n}/{+type}", "Form of an output", "By its media type."],
  ];
  for (const [name, template, title, description] of executions) {
    server.registerResource(name, new ResourceTemplate(template, { list: undefined }), { title, description, cacheHint: CACHE }, read);
  }
}

async function readResource(services: Services, principal: string, uri: string, signal: AbortSignal): Promise<ReadResourceResult> {
  try {
    const source = await services.sources.open({ path: uri }, { principal, signal });
    if (source.sizeBytes > LIMITS.resourceBytes) {
      throw tooLarge(`The resource has ${source.sizeBytes} bytes; one read gives at most ${LIMITS.resourceBytes}.`, uri);
    }
    const bytes = await readBytes(source, 0, LIMITS.resourceBytes);
    const content = resourceContent(uri, source.mimeType, bytes);
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
function resourceContent(uri: string, claimedType: string, bytes: Buffer): ReadResourceResult["contents"][number] {
  const mimeType = typeOfContent(claimedType, bytes);
  const text = /^(image\/(?!svg)|application\/pdf)/.test(mimeType) ? undefined : textOf(bytes);
  return text === undefined ? { uri, mimeType, blob: bytes.toString("base64") } : { uri, mimeType, text };
}

/** The files of the caller's sandbox, so many and as many as a reply holds; folders are looked through, but do not count. */
async function listFiles(services: Services, principal: string, signal: AbortSignal): Promise<ListResourcesResult["resources"]> {
  const resources: ListResourcesResult["resources"] = [];
  let left = LIMITS.replyBytes - LIMITS.replyEnvelopeBytes;
  let cursor: string | undefined;
  try {
    for (let page = 0; page < LIMITS.resourceListPages; page++) {
      const request = { depth: LIMITS.resourceListDepth, limit: LIMITS.listEntries.max, cursor };
      const listed = await services.files.listExisting(request, { principal, signal });
      for (const entry of listed?.entries ?? []) {
        if (entry.type !== "file" || listed === undefined) continue;
        const resource = resourceOf(listed.sandboxId, entry);
        left -= jsonBytes(resource) + RESOURCE_FORM_BYTES;
        if (left < 0 || resources.length === LIMITS.listEntries.default) return resources;
        resources.push(resource);
      }
      cursor = listed?.nextCursor ?? undefined;
      if (cursor === undefined) break;
    }
    return resources;
  } catch (thrown) {
    throw resourceError(KernelboxError.from(thrown));
  }
}

/** What the template's own description adds to each. */
const RESOURCE_FORM_BYTES = 200;

function resourceOf(sandboxId: string, entry: FileEntry): ListResourcesResult["resources"][number] {
  return {
    uri: fileUri(sandboxId, entry.path),
    name: legible(entry.name),
    title: legible(entry.path),
    size: entry.sizeBytes,
    mimeType: typeOfName(entry.path),
    annotations: { lastModified: entry.modifiedAt },
  };
}
