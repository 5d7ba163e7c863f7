"""What is told of one file or folder."""

import os
import stat
from typing import Any

Json = dict[str, Any]

_OWNERS = {0: "root", 1000: "user"}
_TYPES = ((stat.S_ISREG, "file"), (stat.S_ISDIR, "directory"), (stat.S_ISLNK, "symlink"))


def entry(path: str, found: os.stat_result) -> Json:
    return {
        "name": path.rsplit("/", 1)[-1],
        "path": path,
        "type": next((text for is_it, text in _TYPES if is_it(found.st_mode)), "other"),
        "size_bytes": min(found.st_size, 2**53 - 1),
        "mode": mode(found),
        "owner": _OWNERS.get(found.st_uid, str(found.st_uid)),
        "group": _OWNERS.get(found.st_gid, str(found.st_gid)),
        "mtime_ms": found.st_mtime_ns // 1_000_000,
    }


def mode(found: os.stat_result) -> str:
    return f"{found.st_mode & 0o7777:o}"


def version(found: os.stat_result) -> str:
    """Another text for another file or other content. Times of changes cannot be set by code, unlike those of writes."""
    return f"{found.st_dev:x}-{found.st_ino:x}-{found.st_size:x}-{found.st_mtime_ns:x}-{found.st_ctime_ns:x}"
