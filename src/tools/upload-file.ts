import * as z from "zod";
import { quoted } from "../events/quoted.ts";
import type { HostUploaded } from "../files/host/host-transfers.ts";
import { defineTool } from "./define-tool.ts";
import { fileScope, localPath, path, sandboxId } from "./fields.ts";
import { transferProgress } from "./progress.ts";

export const uploadFile = defineTool({
  name: "upload_file",
  title: "Upload file",
  description:
    "In the sandbox, not on the user's machine: put a file or folder of the user's machine there, of any size. A path that is a folder or ends in / gets it under its own name. " +
    "With scope shared it is kept by name and copied to /mnt/shared of each of your sandboxes, also later ones.",
  effect: "write",
  input: {
    local_path: localPath,
    path,
    overwrite: z.boolean().default(false),
    scope: fileScope,
    unpack: z.boolean().default(false).describe("A local .tar becomes a folder."),
    sandbox_id: sandboxId,
  },
  output: {
    path: z.string(),
    size_bytes: z.number(),
    sha256: z.string(),
    file_id: z.string().nullable(),
    entries: z.number().nullable().describe("Of a folder."),
    skipped: z.number().nullable(),
  },
  run: async (input, { services, principal, signal, onProgress }) => {
    const { local_path, path, sandbox_id, overwrite, scope, unpack } = input;
    const request = { localPath: local_path, path, sandboxId: sandbox_id, overwrite, scope, unpack };
    const moved = await services.hostTransfers.upload(request, { principal, signal, onProgress: transferProgress(onProgress) });
    return {
      structured: {
        path: moved.path,
        size_bytes: moved.sizeBytes,
        sha256: moved.sha256,
        file_id: moved.fileId,
        entries: moved.counts?.entries ?? null,
        skipped: moved.counts?.skipped ?? null,
      },
      blocks: [{ type: "text", text: uploaded(moved) }],
    };
  },
});

function uploaded({ path, sizeBytes, sha256, fileId, counts, uncopied = [] }: HostUploaded): string {
  if (counts !== undefined) {
    const skipped = counts.skipped === 0 ? "" : `; left out ${counts.skipped} (links, special files, names that begin with a dot)`;
    return `Uploaded ${counts.entries} files and folders to ${quoted(path)}${skipped}.`;
  }
  const missing = uncopied.length === 0 ? "" : ` It could not be copied into ${uncopied.join(", ")}: /mnt/shared may be full there.`;
  return `Uploaded to ${quoted(path)} (${sizeBytes} bytes, sha256 ${sha256}, ${fileId}).${missing}`;
}
