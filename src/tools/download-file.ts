import * as z from "zod";
import { quoted } from "../files/quoted.ts";
import { defineTool } from "./define-tool.ts";
import { localPath, path, sandboxId } from "./fields.ts";
import { transferProgress } from "./progress.ts";

export const downloadFile = defineTool({
  name: "download_file",
  title: "Download file",
  description:
    "In the sandbox, not on the user's machine: take a file from there to the user's machine, of any size; or any kernelbox:// URI.",
  effect: "destroy",
  input: {
    path,
    local_path: localPath,
    overwrite: z.boolean().default(false),
    sandbox_id: sandboxId,
  },
  output: { path: z.string(), local_path: z.string(), size_bytes: z.number(), sha256: z.string() },
  run: async (input, { services, principal, signal, onProgress }) => {
    const request = { localPath: input.local_path, path: input.path, sandboxId: input.sandbox_id, overwrite: input.overwrite };
    const moved = await services.hostTransfers.download(request, { principal, signal, onProgress: transferProgress(onProgress) });
    return {
      structured: { path: moved.path, local_path: moved.localPath, size_bytes: moved.sizeBytes, sha256: moved.sha256 },
      blocks: [{ type: "text", text: `Downloaded to ${quoted(moved.localPath)} (${moved.sizeBytes} bytes, sha256 ${moved.sha256}).` }],
    };
  },
});
