"""Reading, writing and listing files for the server, as the unprivileged user, by descriptor."""

import errno
import itertools
import os
import secrets
import stat
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote_to_bytes

from . import limits
from .errors import RequestError
from .file_entry import entry, mode, version
from .paths import Paths
from .transfer import Transfer

Json = dict[str, Any]

PART_PREFIX = ".kernelbox-"
_DEFAULT_MODE = 0o644


class Files:
    def __init__(self, paths: Paths) -> None:
        self._paths = paths

    def stat(self, params: Json) -> Json:
        path = self._paths.normal(params["path"])
        fd = self._paths.open(path, os.O_PATH)
        try:
            found = os.fstat(fd)
            return {**entry(path, found), "version": version(found)}
        finally:
            os.close(fd)

    async def read(self, params: Json, transfer: Transfer) -> Json:
        path = self._paths.normal(params["path"])
        offset = max(0, int(params.get("offset") or 0))
        limit = params.get("limit")
        # O_NONBLOCK, or opening a FIFO would wait for a writer.
        fd = self._paths.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            found = _regular(fd)
            wanted = max(0, found.st_size - offset)
            if limit is not None:
                wanted = min(wanted, max(0, int(limit)))
            position = offset

            def read(size: int) -> bytes:
                nonlocal position
                piece = os.pread(fd, min(size, offset + wanted - position), position)
                position += len(piece)
                return piece

            sent = await transfer.send_from(read)
            after = os.fstat(fd)
            # One that only grows, like a log, is read up to where it ended at first.
            is_rewritten = after.st_mtime_ns != found.st_mtime_ns and after.st_size <= found.st_size
            return {
                "path": path,
                "size_bytes": found.st_size,
                "sent_bytes": sent,
                "mtime_ms": found.st_mtime_ns // 1_000_000,
                "mode": mode(found),
                "version": version(found),
                "changed": sent < wanted or is_rewritten,
            }
        finally:
            os.close(fd)

    async def write(self, params: Json, transfer: Transfer) -> Json:
        path = self._paths.normal(params["path"])
        new_mode = None if params.get("mode") is None else int(params["mode"], 8) & 0o777
        folder, name = self._paths.open_parent(path, create=bool(params.get("create_parents", True)))
        try:
            before = _stat_at(folder, name)
            if before is not None and not stat.S_ISREG(before.st_mode):
                raise RequestError("invalid_argument", "it is not a regular file")
            if before is not None and not params.get("overwrite", True):
                raise RequestError("already_exists", "there is a file at that path already")
            if params.get("append") and before is not None:
                size = await _append(folder, name, transfer)
            else:
                kept_mode = _DEFAULT_MODE if before is None else before.st_mode & 0o777
                only_new = not params.get("overwrite", True)
                chosen = kept_mode if new_mode is None else new_mode
                size = await _replace(folder, name, transfer, chosen, only_new, params.get("if_version"))
            return {"path": path, "size_bytes": size, "created": before is None}
        finally:
            os.close(folder)

    def list(self, params: Json) -> Json:
        path = self._paths.normal(params["path"])
        depth = min(int(params.get("depth") or 1), limits.LIST_DEPTH)
        limit = min(int(params.get("limit") or limits.LIST_ENTRIES), limits.LIST_ENTRIES)
        after = params.get("after")
        start = None if after is None else unquote_to_bytes(after).split(b"/")
        fd = self._paths.open(path, os.O_RDONLY | os.O_DIRECTORY)
        entries: list[Json] = []
        size = 0
        last: bytes | None = None
        for name, found in _beneath(fd, os.fsencode(path), depth, start):
            if len(entries) == limit or size > limits.LIST_BYTES:
                assert last is not None
                return {"path": path, "entries": entries, "next": _cursor(last)}
            last = name
            text = name.decode("utf-8", "replace")
            told = entry(text, found)
            if text.encode() != name:
                told["lossy"] = True
            entries.append(told)
            # At most six bytes a character, twice a name, and the rest.
            size += 12 * len(name) + 200
        return {"path": path, "entries": entries}


def _beneath(fd: int, path: bytes, depth: int, after: list[bytes] | None) -> Iterator[tuple[bytes, os.stat_result]]:
    """What lies in the folder, part by part in byte order; closes the descriptor. A folder that vanishes meanwhile is empty."""
    try:
        with os.scandir(fd) as scan:
            names = sorted(os.fsencode(entry.name) for entry in itertools.islice(scan, limits.FOLDER_ENTRIES + 1))
        if len(names) > limits.FOLDER_ENTRIES:
            raise RequestError("too_large", f"a folder with more than {limits.FOLDER_ENTRIES} entries")
        for name in names:
            full = path + b"/" + name
            parts = full.split(b"/")
            if after is not None and parts < after[: len(parts)]:
                continue
            found = _stat_at(fd, os.fsdecode(name))
            if found is None:
                continue
            if after is None or parts > after:
                yield full, found
            if depth > 1 and stat.S_ISDIR(found.st_mode):
                try:
                    below = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)
                except OSError:
                    continue
                try:
                    yield from _beneath(below, full, depth - 1, after)
                except RequestError:
                    # Too large to be looked through: it stands in the list without what it holds, and says why when it is listed itself.
                    continue
    finally:
        os.close(fd)


async def _replace(folder: int, name: str, transfer: Transfer, mode: int, only_new: bool, if_version: str | None) -> int:
    """With `if_version` only what somebody has read, and nobody has changed since."""
    part = f"{PART_PREFIX}{secrets.token_hex(8)}.part"
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder)
    try:
        size = await _receive(fd, transfer)
        os.fchmod(fd, mode)
        if if_version is not None:
            before = _stat_at(folder, name)
            if before is None or version(before) != if_version:
                raise RequestError("busy", "the file was changed meanwhile")
        if only_new:
            os.link(part, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
            os.unlink(part, dir_fd=folder)
        else:
            os.rename(part, name, src_dir_fd=folder, dst_dir_fd=folder)
        return size
    except BaseException:
        try:
            os.unlink(part, dir_fd=folder)
        except FileNotFoundError:
            pass
        raise
    finally:
        os.close(fd)


async def _append(folder: int, name: str, transfer: Transfer) -> int:
    """Nothing is written before all of it is here, so that giving up leaves the file as it is, whoever else appends to it."""
    part = os.memfd_create("append", os.MFD_CLOEXEC)
    fd = os.open(name, os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        _regular(fd)
        await _receive(part, transfer)
        before, appended = os.fstat(fd).st_size, 0
        try:
            while piece := os.pread(part, limits.READ_BYTES, appended):
                appended += os.write(fd, piece)
        except OSError:
            # The disk is full, say. What others have appended meanwhile is not ours to cut.
            if os.fstat(fd).st_size == before + appended:
                os.ftruncate(fd, before)
            raise
        return os.fstat(fd).st_size
    finally:
        os.close(fd)
        os.close(part)


async def _receive(fd: int, transfer: Transfer) -> int:
    size = 0
    while (piece := await transfer.receive()) is not None:
        _write(fd, piece)
        size += len(piece)
    return size


def _write(fd: int, piece: bytes) -> None:
    view = memoryview(piece)
    while view:
        view = view[os.write(fd, view) :]


def _regular(fd: int) -> os.stat_result:
    found = os.fstat(fd)
    if stat.S_ISDIR(found.st_mode):
        raise OSError(errno.EISDIR, "directory")
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.ENXIO, "special file")
    return found


def _stat_at(folder: int, name: str) -> os.stat_result | None:
    """None where it is not there, or where the folder's mode keeps it from us."""
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except (FileNotFoundError, PermissionError):
        return None


def _cursor(name: bytes) -> str:
    """The name as text that gives back its very bytes: those that are not UTF-8, and the percent sign itself, as percent and two digits."""
    text = name.replace(b"%", b"%25").decode("utf-8", "surrogateescape")
    return "".join(f"%{ord(letter) - 0xDC00:02X}" if "\udc80" <= letter <= "\udcff" else letter for letter in text)
