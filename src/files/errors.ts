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
  too_large: [
    "It is too large, or too many files, for one call.",
    "Read a file in parts with offset_bytes and limit_bytes; handle a large tree in code.",
  ],
  busy: ["Somebody else changes it at the same time, or holds it.", "Try again when nothing writes to it."],
};

/** The same where the system's own reason is known: it says more than the code. */
const BY_REASON: Partial<Record<string, [message: string, hint: string]>> = {
  "invalid_argument EISDIR": [
    "There is a folder at that path, where a file is meant.",
    "Use list_directory to see what is in it, or give the path of a file.",
  ],
  "invalid_argument ENOTDIR": [
    "A part of the path is a file or a symbolic link, where a folder is meant.",
    "Use list_directory to see what is there; links are not followed.",
  ],
  "invalid_argument ENOTEMPTY": ["The folder is not empty.", "Set recursive to true to remove it with all that is in it."],
  "already_exists ENOTEMPTY": ["There is a folder at that path that is not empty.", "Choose another name, or remove that folder first."],
  "invalid_argument ENAMETOOLONG": [
    "A name in the path is too long: at most 255 bytes, and 4,096 for the whole path.",
    "Use shorter names.",
  ],
  "invalid_argument ENXIO": ["The path is a special file: a pipe, a socket or a device.", "Use the path of a regular file."],
  "permission_denied ELOOP": [
    "A part of the path is a symbolic link; links are not followed.",
    "Use the real path: list_directory shows what is a link.",
  ],
  "permission_denied EACCES": ["The mode of the file or of a folder above it forbids it.", "Change the mode in code (os.chmod)."],
};

/** In words of ours, chosen by the code and the reason. */
export function fileError(thrown: unknown): KernelboxError {
  const error = KernelboxError.from(thrown);
  if (error.details?.sandbox_message === undefined) return error;
  const reason = `${error.code} ${String(error.details.errno)}`;
  const words = (Object.hasOwn(BY_REASON, reason) ? BY_REASON[reason] : undefined) ?? FILE_ERRORS[error.code];
  if (words === undefined) return error;
  return new KernelboxError(error.code, words[0], words[1], { cause: error, details: error.details });
}
