import * as z from "zod";
import { quoted } from "../events/quoted.ts";
import { defineTool } from "./define-tool.ts";
import { fileScope, localPath, path, sandboxId } from "./fields.ts";
import { transferProgress } from "./progress.ts";

export const downloadFile = defineTool({
  name: "download_file",
  title: "Download file",
  description:
    "In the sandbox, not on the user's machine: take a file from there to the user's machine, of any size, or what any kernelbox:// URI names. A folder comes as an archive where local_path ends in .tar.",
  effect: "destroy",
  input: {
    path,
    local_path: localPath,
    overwrite: z.boolean().default(false),
    scope: fileScope,
    sandbox_id: sandboxId,
  },
  output: {
    path: z.string(),
    local_path: z.string(),
    size_bytes: z.number(),
    sha256: z.string(),
    file_id: z.string().nullable(),
    entries: z.number().nullable(),
    skipped: z.number().nullable(),
  },
  run: async (input, { services, principal, signal, onProgress }) => {
    const { local_path, path, sandbox_id, overwrite, scope } = input;
    const request = { localPath: local_path, path, sandboxId: sandbox_id, overwrite, scope };
    const moved = await services.hostTransfers.download(request, { principal, signal, onProgress: transferProgress(onProgress) });
    const skipped =
      moved.counts === undefined || moved.counts.skipped === 0 ? "" : ` Left out ${moved.counts.skipped}: links, special files, odd names.`;
    return {
      structured: {
        path: moved.path,
        local_path: moved.localPath,
        size_bytes: moved.sizeBytes,
        sha256: moved.sha256,
        file_id: moved.fileId,
        entries: moved.counts?.entries ?? null,
        skipped: moved.counts?.skipped ?? null,
      },
      blocks: [
        { type: "text", text: `Downloaded to ${quoted(moved.localPath)} (${moved.sizeBytes} bytes, sha256 ${moved.sha256}).${skipped}` },
      ],
    };
  },
});
