"""Which files of the workspace an execution wrote."""

import os
import stat
import time
from dataclasses import dataclass
from typing import Any

from . import limits
from .files import PART_PREFIX

Json = dict[str, Any]

# A sparse file can claim more than a server's kind of number holds.
_SIZE_MAX = 2**53 - 1
_LEFT_OUT = frozenset({"__pycache__", "node_modules"})


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The regular files of the workspace: when each was written, its size, its inode."""

    files: dict[str, tuple[int, int, int]]
    is_complete: bool


def changes(before: Snapshot, after: Snapshot) -> tuple[list[Json], int]:
    """The files that were created or modified, by path, and how many more there are past the bound."""
    changed = sorted((path, known) for path, known in after.files.items() if before.files.get(path) != known)
    told = [
        {"path": path, "change": "modified" if path in before.files else "created", "size_bytes": min(known[1], _SIZE_MAX)}
        for path, known in changed[: limits.CHANGED_FILES]
    ]
    return told, len(changed) - len(told)


def look(folder: str) -> Snapshot:
    """Some ten microseconds a file, and nothing that user code can hold up: bounded in entries and in time, no links followed.

    Folders that begin with a dot (packages, caches) are not looked into.
    """
    found: dict[str, tuple[int, int, int]] = {}
    deadline = time.monotonic() + limits.SCAN_S
    folders = [folder]
    looked_at = 0
    while folders:
        try:
            entries = os.scandir(folders.pop())
        except OSError:
            continue
        with entries:
            for entry in entries:
                looked_at += 1
                if looked_at > limits.SCAN_ENTRIES or (looked_at % 64 == 0 and time.monotonic() > deadline):
                    return Snapshot(found, False)
                try:
                    if entry.is_dir(follow_symlinks=False):
                        if not entry.name.startswith(".") and entry.name not in _LEFT_OUT:
                            folders.append(entry.path)
                        continue
                    status = entry.stat(follow_symlinks=False)
                except OSError:
                    continue
                if stat.S_ISREG(status.st_mode) and not entry.name.startswith(PART_PREFIX):
                    path = os.fsencode(entry.path).decode("utf-8", "replace")
                    found[path] = (status.st_mtime_ns, status.st_size, status.st_ino)
    return Snapshot(found, True)
