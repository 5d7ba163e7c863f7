import { type ErrorCode, KernelboxError } from "../errors.ts";

/** The supervisor's refusals about files, in words of ours: its own stay in the details. */
const FILE_ERRORS: Partial<Record<ErrorCode, [message: string, hint: string]>> = {
  not_found: ["There is no file or folder at that path.", "Use list_directory to see what is there."],
  permission_denied: [
    "The path cannot be reached: it leads through a link or out of the folders that can be used, or its mode forbids it.",
    "Use the real path beneath /home/user or /tmp, or change the mode in code.",
  ],
  already_exists: ["There is a file at that path already.", "Choose another name, or set overwrite to true."],
  invalid_argument: [
    "The path is not what this call needs: a folder or a special file stands where a regular file is meant, or the other way round.",
    "Use list_directory to see what is there.",
  ],
  limit_exceeded: ["There is no room for it in the sandbox.", "Remove files that are not needed; the workspace has a fixed size."],
  too_large: ["The file is too large for this call.", "Read it in parts with offset_bytes and limit_bytes."],
};

export function fileError(thrown: unknown): KernelboxError {
  const error = KernelboxError.from(thrown);
  const words = FILE_ERRORS[error.code];
  if (words === undefined || error.details?.sandbox_message === undefined) return error;
  return new KernelboxError(error.code, words[0], words[1], { cause: error, details: error.details });
}
