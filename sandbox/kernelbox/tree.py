"""Making, moving, copying and removing files and folders for the server, by descriptor and without following a link."""

import asyncio
import ctypes
import errno
import os
import secrets
import stat
from contextlib import suppress
from typing import Any

from . import limits
from .errors import RequestError
from .file_entry import entry
from .files import PART_PREFIX
from .paths import Paths

Json = dict[str, Any]

_RENAME_NOREPLACE = 1
_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_libc = ctypes.CDLL(None, use_errno=True)


class Tree:
    def __init__(self, paths: Paths) -> None:
        self._paths = paths

    def make(self, params: Json) -> Json:
        """A folder; fine where it is there."""
        path = self._paths.normal(params["path"])
        if not self._paths.is_root(path):
            folder, name = self._paths.open_parent(path, create=bool(params.get("parents", True)))
            try:
                os.mkdir(name, int(params.get("mode") or "755", 8) & 0o777, dir_fd=folder)
            except FileExistsError:
                if not stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
                    raise
            finally:
                os.close(folder)
        return self._entry(path)

    async def move(self, params: Json) -> Json:
        """Renames where that is possible. A copy, also one to another root, is made under another name first, so that it is never half there."""
        source, destination = (self._paths.normal(params[name]) for name in ("source", "destination"))
        overwrite, copy = bool(params.get("overwrite")), bool(params.get("copy"))
        if destination.startswith(source + "/"):
            raise RequestError("invalid_argument", "a folder cannot go into itself")
        from_folder, from_name = self._paths.open_parent(source)
        try:
            found = os.stat(from_name, dir_fd=from_folder, follow_symlinks=False)
            to_folder, to_name = self._paths.open_parent(destination, create=True)
            try:
                if source == destination:
                    return self._entry(destination)
                if copy or not _renamed(from_folder, from_name, to_folder, to_name, overwrite):
                    await _copy_whole(from_folder, from_name, to_folder, to_name, overwrite)
                    if not copy:
                        await _remove(from_folder, from_name, found)
                return entry(destination, os.stat(to_name, dir_fd=to_folder, follow_symlinks=False))
            finally:
                os.close(to_folder)
        finally:
            os.close(from_folder)

    async def remove(self, params: Json) -> Json:
        folder, name = self._paths.open_parent(self._paths.normal(params["path"]))
        try:
            found = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if not stat.S_ISDIR(found.st_mode):
                os.unlink(name, dir_fd=folder)
            elif params.get("recursive"):
                await _remove(folder, name, found)
            else:
                os.rmdir(name, dir_fd=folder)
            return {"removed": True}
        finally:
            os.close(folder)

    def _entry(self, path: str) -> Json:
        fd = self._paths.open(path, os.O_PATH)
        try:
            return entry(path, os.fstat(fd))
        finally:
            os.close(fd)


class _Turns:
    """Lets others have their turn now and then, and counts up to the bound."""

    def __init__(self) -> None:
        self._count = 0

    async def next(self) -> None:
        self._count += 1
        if self._count > limits.TREE_ENTRIES:
            raise RequestError("too_large", f"more than {limits.TREE_ENTRIES} files and folders")
        if self._count % limits.TREE_TURN == 0:
            await asyncio.sleep(0)


def _part() -> str:
    return f"{PART_PREFIX}{secrets.token_hex(8)}.part"


def _renamed(from_folder: int, from_name: str, to_folder: int, to_name: str, overwrite: bool) -> bool:
    """False where the two lie on different file systems."""
    try:
        _rename(from_folder, from_name, to_folder, to_name, overwrite)
    except OSError as error:
        if error.errno == errno.EXDEV:
            return False
        # A folder that something is in is not replaced, whatever is asked.
        if error.errno == errno.ENOTEMPTY:
            raise RequestError("already_exists", "there is a folder at that path that is not empty", {"errno": "ENOTEMPTY"}) from None
        raise
    return True


def _rename(from_folder: int, from_name: str, to_folder: int, to_name: str, overwrite: bool) -> None:
    if overwrite:
        os.rename(from_name, to_name, src_dir_fd=from_folder, dst_dir_fd=to_folder)
        return
    names = (from_folder, os.fsencode(from_name), to_folder, os.fsencode(to_name))
    if _libc.renameat2(*names, _RENAME_NOREPLACE) == 0:
        return
    code = ctypes.get_errno()
    raise OSError(code, os.strerror(code))


async def _copy_whole(from_folder: int, from_name: str, to_folder: int, to_name: str, overwrite: bool) -> None:
    part = _part()
    try:
        await _copy(from_folder, from_name, to_folder, part, _Turns(), 0)
        if not _renamed(to_folder, part, to_folder, to_name, overwrite):
            raise OSError(errno.EXDEV, "another file system")
    except BaseException:
        with suppress(FileNotFoundError):
            await _remove(to_folder, part, os.stat(part, dir_fd=to_folder, follow_symlinks=False))
        raise


async def _copy(from_folder: int, from_name: str, to_folder: int, to_name: str, turns: _Turns, depth: int) -> None:
    await turns.next()
    found = os.stat(from_name, dir_fd=from_folder, follow_symlinks=False)
    if stat.S_ISLNK(found.st_mode):
        os.symlink(os.readlink(from_name, dir_fd=from_folder), to_name, dir_fd=to_folder)
        return
    if stat.S_ISDIR(found.st_mode):
        await _copy_folder(from_folder, from_name, to_folder, to_name, turns, depth)
        return
    if not stat.S_ISREG(found.st_mode):
        raise RequestError("invalid_argument", "a special file cannot be copied")
    source = os.open(from_name, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=from_folder)
    try:
        found = os.fstat(source)
        if not stat.S_ISREG(found.st_mode):
            raise RequestError("invalid_argument", "a special file cannot be copied")
        copy = os.open(to_name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=to_folder)
        try:
            await _copy_content(source, copy)
            os.fchmod(copy, found.st_mode & 0o777)
            os.utime(copy, ns=(found.st_atime_ns, found.st_mtime_ns))
        finally:
            os.close(copy)
    finally:
        os.close(source)


async def _copy_content(source: int, copy: int) -> None:
    """In pieces, each in the system; holes are kept, or a sparse file would fill the disk."""
    size = os.fstat(source).st_size
    at = 0
    while at < size:
        try:
            start = os.lseek(source, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                break
            raise
        end = os.lseek(source, start, os.SEEK_HOLE)
        os.lseek(copy, start, os.SEEK_SET)
        at = start
        while at < end:
            sent = os.sendfile(copy, source, at, min(end - at, limits.TREE_PIECE_BYTES))
            if sent == 0:
                return
            at += sent
            await asyncio.sleep(0)
    os.ftruncate(copy, size)


async def _copy_folder(from_folder: int, from_name: str, to_folder: int, to_name: str, turns: _Turns, depth: int) -> None:
    if depth == limits.TREE_DEPTH:
        raise RequestError("too_large", f"more than {limits.TREE_DEPTH} folders in each other")
    source = os.open(from_name, _FOLDER_FLAGS, dir_fd=from_folder)
    try:
        os.mkdir(to_name, 0o700, dir_fd=to_folder)
        copy = os.open(to_name, _FOLDER_FLAGS, dir_fd=to_folder)
        try:
            with os.scandir(source) as entries:
                for each in entries:
                    await _copy(source, each.name, copy, each.name, turns, depth + 1)
            found = os.fstat(source)
            os.fchmod(copy, found.st_mode & 0o777)
            os.utime(copy, ns=(found.st_atime_ns, found.st_mtime_ns))
        finally:
            os.close(copy)
    finally:
        os.close(source)


async def _remove(folder: int, name: str, found: os.stat_result) -> None:
    """A folder goes under another name first: it is there or it is not, and what somebody writes to it meanwhile does not keep it."""
    if not stat.S_ISDIR(found.st_mode):
        os.unlink(name, dir_fd=folder)
        return
    part = name
    if not name.startswith(PART_PREFIX):
        part = _part()
        os.rename(name, part, src_dir_fd=folder, dst_dir_fd=folder)
    # Once begun it is done to its end, also when nobody waits for it any more.
    await asyncio.shield(_remove_folder(os.dup(folder), part))


async def _remove_folder(folder: int, name: str) -> None:
    """Without recursion, since folders may lie in each other thousands deep: what is deep is lifted up, and removed there."""
    try:
        left = [name]
        looked_at = 0
        while left:
            fd = _open_owned(folder, left[-1])
            try:
                lifted = []
                with os.scandir(fd) as entries:
                    for each in entries:
                        looked_at += 1
                        if looked_at % limits.TREE_TURN == 0:
                            await asyncio.sleep(0)
                        try:
                            os.unlink(each.name, dir_fd=fd)
                        except IsADirectoryError:
                            # A folder that is not writable cannot be moved.
                            os.close(_open_owned(fd, each.name))
                            lifted.append(_part())
                            os.rename(each.name, lifted[-1], src_dir_fd=fd, dst_dir_fd=folder)
            finally:
                os.close(fd)
            try:
                os.rmdir(left[-1], dir_fd=folder)
                left.pop()
            except OSError as error:
                # Somebody writes into it, so it is emptied once more, though not for ever.
                if error.errno != errno.ENOTEMPTY:
                    raise
                if looked_at > 2 * limits.TREE_ENTRIES:
                    raise RequestError("busy", "somebody goes on writing into the folder") from None
                await asyncio.sleep(0)
            left += lifted
    finally:
        os.close(folder)


def _open_owned(folder: int, name: str) -> int:
    """A folder of our own, also one whose mode keeps its owner out."""
    handle = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        os.chmod(f"/proc/self/fd/{handle}", 0o700)
        return os.open(".", _FOLDER_FLAGS, dir_fd=handle)
    finally:
        os.close(handle)
