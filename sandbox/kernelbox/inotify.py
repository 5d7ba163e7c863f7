"""The system's own word of what changes in folders: inotify, by libc, since the standard library has no way to it."""

import ctypes
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass

_libc = ctypes.CDLL(None, use_errno=True)
_HEAD = struct.Struct("=iIII")

MODIFY = 0x0002
CLOSE_WRITE = 0x0008
MOVED_FROM = 0x0040
MOVED_TO = 0x0080
CREATE = 0x0100
DELETE = 0x0200
OVERFLOW = 0x4000
IGNORED = 0x8000
IS_FOLDER = 0x4000_0000
_ONLY_FOLDERS = 0x0100_0000
_NOT_UNLINKED = 0x0400_0000
_WANTED = MODIFY | CLOSE_WRITE | MOVED_FROM | MOVED_TO | CREATE | DELETE | _ONLY_FOLDERS | _NOT_UNLINKED


@dataclass(frozen=True, slots=True)
class Event:
    watch: int
    what: int
    name: bytes


class Inotify:
    """One instance. A machine has 128 for all sandboxes of a user, so making one may fail with EMFILE."""

    def __init__(self) -> None:
        self.fd = _checked(_libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))

    def add(self, folder: int) -> int:
        """Watches the folder that is open as this descriptor, so that nothing is looked up by name and nothing followed."""
        return _checked(_libc.inotify_add_watch(self.fd, b"/proc/self/fd/%d" % folder, _WANTED))

    def remove(self, watch: int) -> None:
        """One that is gone already is fine."""
        _libc.inotify_rm_watch(self.fd, watch)

    def read(self, size: int) -> Iterator[Event]:
        try:
            data = os.read(self.fd, size)
        except BlockingIOError:
            return
        at = 0
        while at < len(data):
            watch, what, _, length = _HEAD.unpack_from(data, at)
            at += _HEAD.size
            yield Event(watch, what, data[at : at + length].rstrip(b"\0"))
            at += length

    def close(self) -> None:
        os.close(self.fd)


def _checked(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
