import * as z from "zod";
import { quoted } from "../files/quoted.ts";
import { defineTool } from "./define-tool.ts";
import { localPath, path, sandboxId } from "./fields.ts";
import { transferProgress } from "./progress.ts";

export const uploadFile = defineTool({
  name: "upload_file",
  title: "Upload file",
  description:
    "In the sandbox, not on the user's machine: put a file of the user's machine there, of any size. A path that is a folder or ends in / gets it under its own name.",
  effect: "write",
  input: {
    local_path: localPath,
    path,
    overwrite: z.boolean().default(false),
    sandbox_id: sandboxId,
  },
  output: { path: z.string(), size_bytes: z.number(), sha256: z.string() },
  run: async (input, { services, principal, signal, onProgress }) => {
    const request = { localPath: input.local_path, path: input.path, sandboxId: input.sandbox_id, overwrite: input.overwrite };
    const moved = await services.hostTransfers.upload(request, { principal, signal, onProgress: transferProgress(onProgress) });
    return {
      structured: { path: moved.path, size_bytes: moved.sizeBytes, sha256: moved.sha256 },
      blocks: [{ type: "text", text: `Uploaded to ${quoted(moved.path)} (${moved.sizeBytes} bytes, sha256 ${moved.sha256}).` }],
    };
  },
});
