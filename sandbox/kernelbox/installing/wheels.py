"""Unpacks wheels into ~/.local, by PyPA's installer."""

import os
import stat
import zipfile
from collections.abc import Iterable
from contextlib import suppress
from typing import BinaryIO

from installer import install
from installer.destinations import SchemeDictionaryDestination
from installer.exceptions import InstallerError
from installer.records import Hash, RecordEntry
from installer.sources import WheelFile
from installer.utils import Scheme, copyfileobj_with_hashing
from packaging.utils import canonicalize_name

from .. import limits
from ..usage import is_full
from .distributions import Distributions
from .failure import InstallError
from .places import Places
from .removal import remove
from .undo import Undo

# What a file takes beyond its bytes.
_FILE_BYTES = 4_096
_ODD_WHEEL = (InstallerError, zipfile.BadZipFile, ValueError, KeyError, AssertionError, NotImplementedError, EOFError)


def install_wheels(wheels: list[tuple[str, str, str]], staging: str, places: Places) -> list[str]:
    """Installs each wheel (name, version and its path), one whole before the next; names of those that took the place of another version."""
    _check_room([path for _, _, path in wheels], places)
    replaced = []
    for number, (name, version, path) in enumerate(wheels):
        undo = Undo(os.path.join(staging, f"aside-{number}"), (places.site, places.base))
        try:
            if _install(name, version, path, places, undo):
                replaced.append(name)
            os.unlink(path)
        except BaseException as error:  # noqa: BLE001  whatever it was, also the end of this process
            undo.take_back()
            raise _failure(error, name, places, number) from None
        undo.keep()
    if wheels:
        # A kernel that has looked in the folder looks again when its time is another one.
        os.utime(places.site)
    return replaced


def _install(name: str, version: str, path: str, places: Places, undo: Undo) -> bool:
    known = Distributions(places).user.get(canonicalize_name(name))
    os.makedirs(places.site, exist_ok=True)
    if known is not None:
        remove(known[0], places, undo)
    with zipfile.ZipFile(path) as archive:
        # The file has a name of ours; this is what installer reads the wheel's own from.
        archive.filename = f"{canonicalize_name(name).replace('-', '_')}-{version}-py3-none-any.whl"
        source = _Wheel(archive)
        install(source, _Destination(places, source.distribution, undo), {"INSTALLER": b"kernelbox\n"})
    return known is not None


class _Wheel(WheelFile):
    @property
    def data_dir(self) -> str:
        """As it is spelt in this very wheel: names of its file may be spelt in another way."""
        return str(self.dist_info_dir).removesuffix(".dist-info") + ".data"


class _Destination(SchemeDictionaryDestination):
    def __init__(self, places: Places, distribution: str, undo: Undo) -> None:
        schemes = {
            "purelib": places.site,
            "platlib": places.site,
            "scripts": places.scripts,
            "headers": os.path.join(places.headers, distribution),
            "data": places.base,
        }
        super().__init__(schemes, interpreter="/opt/py/bin/python", script_kind="posix")
        self._undo = undo

    def write_to_fs(self, scheme: Scheme, path: str | os.PathLike[str], stream: BinaryIO, is_executable: bool) -> RecordEntry:
        name = os.fspath(path)
        if os.path.isabs(name) or ".." in name.split("/") or "\0" in name:
            raise ValueError("a file beneath its folder")
        target = os.path.join(self.scheme_dict[scheme], name)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with suppress(FileNotFoundError):
            if not stat.S_ISDIR(os.lstat(target).st_mode):
                self._undo.move_away(target)
        self._undo.wrote(target)
        # Archives often do not say it of scripts.
        mode = 0o755 if is_executable or scheme == "scripts" else 0o644
        with open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode), "wb") as file:
            digest, size = copyfileobj_with_hashing(stream, file, self.hash_algorithm)
        return RecordEntry(name, Hash(self.hash_algorithm, digest), size)


def _check_room(paths: Iterable[str], places: Places) -> None:
    """Before anything is written. Each wheel goes as soon as it is unpacked, and so makes room for those behind it."""
    os.makedirs(places.site, exist_ok=True)
    status = os.statvfs(places.site)
    free, free_files = status.f_bavail * status.f_frsize, status.f_favail
    needed = most = files = 0
    for path in paths:
        try:
            with zipfile.ZipFile(path) as archive:
                entries = archive.infolist()
        except _ODD_WHEEL as error:
            raise InstallError("unsupported", "a file is no wheel") from error
        files += len(entries)
        needed += sum(entry.file_size + _FILE_BYTES for entry in entries)
        most = max(most, needed)
        needed -= os.path.getsize(path)
    if most > limits.INSTALL_BYTES or files > limits.INSTALL_ENTRIES:
        raise InstallError("too_large", "more files or bytes than are taken", bytes=most, files=files)
    if most > free or (free_files and files > free_files):
        raise InstallError("limit_exceeded", "no room", needed_bytes=most, free_bytes=free)


def _failure(error: BaseException, name: str, places: Places, done: int) -> BaseException:
    if isinstance(error, OSError) and error.errno in limits.DISK_FULL:
        return InstallError("limit_exceeded", "no room", package=name, done=done)
    if isinstance(error, _ODD_WHEEL):
        return InstallError("unsupported", "the wheel is not valid", package=name, done=done)
    if isinstance(error, OSError) and is_full(places.base):
        return InstallError("limit_exceeded", "no room", package=name, done=done)
    if isinstance(error, OSError):
        return InstallError("permission_denied", "its files could not be written", package=name, done=done, errno=error.errno)
    return error
