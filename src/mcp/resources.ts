import { type McpServer, type ReadResourceResult, ResourceTemplate } from "@modelcontextprotocol/server";
import { KernelboxError } from "../errors.ts";
import { readBytes } from "../files/read-window.ts";
import { fileUri } from "../files/uris.ts";
import { LIMITS } from "../limits.ts";
import type { Services } from "../tools/define-tool.ts";
import { resourceError } from "./errors.ts";

const LISTED_DEPTH = 3;
const CACHE = { ttlMs: 0, cacheScope: "private" } as const;

/** Files of sandboxes and what executions left, as resources: whatever a reply links to can be read here. */
export function registerResources(server: McpServer, services: Services, principal: string): void {
  const read = async (uri: URL, _variables: unknown, ctx: { mcpReq: { signal: AbortSignal } }) =>
    await readResource(services, principal, uri.href, ctx.mcpReq.signal);
  server.registerResource(
    "files",
    new ResourceTemplate("kernelbox://sandboxes/{sandbox_id}/files/{+path}", {
      list: async () => ({ resources: await listFiles(services, principal) }),
    }),
    { title: "Files of a sandbox", description: "A file by its absolute path in the sandbox.", cacheHint: CACHE },
    read,
  );
  const executions: [name: string, template: string, title: string, description: string][] = [
    ["execution", "kernelbox://executions/{execution_id}", "Execution", "An execution's result as JSON."],
    ["execution_stream", "kernelbox://executions/{execution_id}/{stream}", "Output text", "All of stdout or stderr, raw."],
    ["execution_output", "kernelbox://executions/{execution_id}/outputs/{n}", "Output", "A picture or other rich output, whole."],
  ];
  for (const [name, template, title, description] of executions) {
    server.registerResource(name, new ResourceTemplate(template, { list: undefined }), { title, description, cacheHint: CACHE }, read);
  }
}

async function readResource(services: Services, principal: string, uri: string, signal: AbortSignal): Promise<ReadResourceResult> {
  try {
    const source = await services.sources.open({ path: uri }, { principal, signal });
    if (source.sizeBytes > LIMITS.resourceBytes) {
      throw new KernelboxError(
        "too_large",
        `The resource has ${source.sizeBytes} bytes; one read gives at most ${LIMITS.resourceBytes}.`,
        `Read it in parts: read_file with path "${uri}" and offset_bytes.`,
      );
    }
    const bytes = await readBytes(source, 0, LIMITS.resourceBytes);
    const text = asText(bytes, source.mimeType);
    const head = { uri, mimeType: source.mimeType };
    return { contents: [text === undefined ? { ...head, blob: bytes.toString("base64") } : { ...head, text }] };
  } catch (thrown) {
    throw resourceError(KernelboxError.from(thrown), uri);
  }
}

async function listFiles(services: Services, principal: string) {
  const request = { path: "/home/user", depth: LISTED_DEPTH, limit: LIMITS.listEntries.default };
  const listed = await services.files.listExisting(request, { principal });
  return (listed?.entries ?? [])
    .filter((entry) => entry.type === "file")
    .map((entry) => ({
      uri: fileUri(listed?.sandboxId ?? "", entry.path),
      name: entry.name,
      title: entry.path,
      size: entry.sizeBytes,
      annotations: { lastModified: entry.modifiedAt },
    }));
}

/** Text where it is UTF-8 and its type does not say otherwise. */
function asText(bytes: Buffer, mimeType: string): string | undefined {
  if (/^(image\/(?!svg)|audio\/|video\/|application\/(pdf|zip|gzip))/.test(mimeType)) return undefined;
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    return text.includes("\0") ? undefined : text;
  } catch {
    return undefined;
  }
}
