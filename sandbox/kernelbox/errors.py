"""The one error that requests are answered with."""

import errno
from typing import Any


class RequestError(Exception):
    """A code of the design and a message in our own words: never text that came from user code."""

    def __init__(self, code: str, message: str, details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details

    def as_json(self) -> dict[str, Any]:
        error: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.details:
            error["details"] = self.details
        return error


_BY_ERRNO = {
    errno.ENOENT: ("not_found", "no such file or directory"),
    errno.EEXIST: ("already_exists", "there is something at that path already"),
    errno.EISDIR: ("invalid_argument", "it is a directory"),
    errno.ENOTDIR: ("invalid_argument", "a part of the path is not a directory"),
    errno.ENOTEMPTY: ("invalid_argument", "the directory is not empty"),
    errno.ENAMETOOLONG: ("invalid_argument", "a name is too long"),
    errno.EINVAL: ("invalid_argument", "the path is not valid"),
    errno.ENXIO: ("invalid_argument", "it is not a regular file"),
    errno.ELOOP: ("permission_denied", "a part of the path is a symbolic link"),
    errno.EXDEV: ("permission_denied", "the path leads out of its root"),
    errno.EACCES: ("permission_denied", "its mode forbids it"),
    errno.EPERM: ("permission_denied", "it is not permitted"),
    errno.EROFS: ("permission_denied", "it is read-only"),
    errno.ENOSPC: ("limit_exceeded", "no space is left"),
    errno.EDQUOT: ("limit_exceeded", "no space is left"),
    errno.EFBIG: ("limit_exceeded", "the file would be too large"),
    errno.EMFILE: ("limit_exceeded", "too many files are open"),
    errno.ENFILE: ("limit_exceeded", "too many files are open"),
    errno.EAGAIN: ("limit_exceeded", "no process can be made"),
    errno.ENOMEM: ("limit_exceeded", "no memory is left"),
    errno.ETXTBSY: ("busy", "the file is being executed"),
}


def from_os_error(error: OSError) -> RequestError:
    """A failed system call as a refusal. Its own text may quote a name, so it is not used."""
    code, message = _BY_ERRNO.get(error.errno or 0, ("internal", f"system error {error.errno}"))
    return RequestError(code, message, {"errno": errno.errorcode.get(error.errno or 0, "unknown")})
