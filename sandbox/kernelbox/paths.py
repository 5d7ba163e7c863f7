"""Names of files as descriptors: nothing is checked first and used later, and nothing leads out of a root."""

import ctypes
import errno
import os
import posixpath
import stat
import struct

from . import limits
from .errors import RequestError

HOME = "/home/user"
ROOTS = (HOME, "/tmp", "/mnt/shared")
_DATA_LINK = "/mnt/data"

_OPENAT2 = 437
_RESOLVE_NO_MAGICLINKS = 0x02
_RESOLVE_NO_SYMLINKS = 0x04
_RESOLVE_BENEATH = 0x08
_RESOLVE = _RESOLVE_BENEATH | _RESOLVE_NO_SYMLINKS | _RESOLVE_NO_MAGICLINKS
_OPEN_HOW = struct.Struct("=QQQ")
_libc = ctypes.CDLL(None, use_errno=True)


class Paths:
    """Opens paths beneath the roots, with openat2, or part by part where the kernel lacks it."""

    def __init__(self, roots: dict[str, str] | None = None, *, use_openat2: bool | None = None) -> None:
        """`roots` maps names to folders, for tests; `use_openat2` chooses the way, which is else found out."""
        self._roots = {
            name: os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            for name, folder in (roots or {root: root for root in ROOTS}).items()
            if os.path.isdir(folder)
        }
        self._use_openat2 = _has_openat2() if use_openat2 is None else use_openat2

    @property
    def roots(self) -> list[str]:
        return list(self._roots)

    def close(self) -> None:
        for fd in self._roots.values():
            os.close(fd)

    def normal(self, path: str) -> str:
        """The absolute name beneath a root. Links do not count here: they are refused when it is opened."""
        if not isinstance(path, str) or "\0" in path or len(os.fsencode(path)) > limits.PATH_BYTES:
            raise RequestError("invalid_argument", "the path is not valid")
        name = posixpath.normpath(posixpath.join(HOME, path))
        if name.startswith("//"):
            name = name[1:]
        if name == _DATA_LINK or name.startswith(_DATA_LINK + "/"):
            name = HOME + name[len(_DATA_LINK) :]
        return name

    def is_root(self, path: str) -> bool:
        return not self._split(path)[1]

    def open(self, path: str, flags: int, mode: int = 0) -> int:
        root, parts = self._split(path)
        flags |= os.O_CLOEXEC | os.O_NOFOLLOW
        if not parts:
            return _openat2(root, ".", flags, mode) if self._use_openat2 else os.open(".", flags, mode, dir_fd=root)
        if self._use_openat2:
            return _openat2(root, "/".join(parts), flags, mode)
        return _walk(root, parts, flags, mode)

    def open_parent(self, path: str, *, create: bool = False) -> tuple[int, str]:
        """The folder that holds the last part, and that part's name."""
        _, parts = self._split(path)
        if not parts:
            raise RequestError("invalid_argument", "it is a directory")
        name = self.normal(path)
        parent = posixpath.dirname(name)
        if create:
            self.make_directories(parent)
        return self.open(parent, os.O_PATH | os.O_DIRECTORY), parts[-1]

    def make_directories(self, path: str) -> None:
        """Makes the folder and those above it; fine where they are there."""
        root, parts = self._split(path)
        folder = os.dup(root)
        try:
            for part in parts:
                try:
                    os.mkdir(part, 0o755, dir_fd=folder)
                except FileExistsError:
                    pass
                below = os.open(part, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
                os.close(folder)
                folder = below
        finally:
            os.close(folder)

    def _split(self, path: str) -> tuple[int, list[str]]:
        name = self.normal(path)
        for root, fd in self._roots.items():
            if name == root:
                return fd, []
            if name.startswith(root + "/"):
                return fd, name[len(root) + 1 :].split("/")
        raise RequestError("permission_denied", "the path lies outside the roots")


def _has_openat2() -> bool:
    try:
        os.close(_openat2(os.open("/", os.O_PATH), ".", os.O_PATH | os.O_CLOEXEC, 0))
    except OSError:
        return False
    return True


def _openat2(folder: int, name: str, flags: int, mode: int) -> int:
    how = _OPEN_HOW.pack(flags, mode if flags & os.O_CREAT else 0, _RESOLVE)
    for _ in range(limits.OPEN_TRIES):
        fd = int(_libc.syscall(_OPENAT2, folder, os.fsencode(name), how, len(how)))
        if fd >= 0:
            return fd
        code = ctypes.get_errno()
        # EAGAIN: a rename raced with the look-up, and the kernel asks to try again. Code that holds a lease on the file gets us the same, for ever.
        if code not in (errno.EAGAIN, errno.EINTR):
            raise OSError(code, os.strerror(code))
    raise RequestError("busy", "somebody holds the file")


def _walk(root: int, parts: list[str], flags: int, mode: int) -> int:
    folder = os.dup(root)
    try:
        for part in parts[:-1]:
            if part in ("", ".", ".."):
                raise OSError(errno.EXDEV, "not a plain name")
            below = os.open(part, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
            os.close(folder)
            folder = below
            if not _is_directory(folder):
                raise OSError(errno.ELOOP if _is_link(folder) else errno.ENOTDIR, "not a directory")
        return os.open(parts[-1], flags, mode, dir_fd=folder)
    finally:
        os.close(folder)


def _is_directory(fd: int) -> bool:
    return stat.S_ISDIR(os.fstat(fd).st_mode)


def _is_link(fd: int) -> bool:
    return stat.S_ISLNK(os.fstat(fd).st_mode)
