"""What the container uses, from its cgroup, version 1 or 2."""

import os
from pathlib import Path
from typing import Any

_V1 = Path("/sys/fs/cgroup/memory")
_V2 = Path("/sys/fs/cgroup")
_ROOM_BYTES = 64 * 1024


def oom_kills() -> int:
    """How many processes of this container were killed for want of memory, so far."""
    for path in (_V1 / "memory.oom_control", _V2 / "memory.events"):
        for line in _read(path).splitlines():
            name, _, value = line.partition(" ")
            if name == "oom_kill":
                return int(value)
    return 0


def free_processes() -> int:
    """How many more processes and threads this container may have; many where nobody bounds them."""
    folder = Path("/sys/fs/cgroup/pids") if _V1.is_dir() else _V2
    bound = _number(folder / "pids.max")
    return bound - _number(folder / "pids.current") if bound else 2**31


def refused_processes() -> int:
    """How often this container was refused a process or thread, so far."""
    for line in _read((Path("/sys/fs/cgroup/pids") if _V1.is_dir() else _V2) / "pids.events").splitlines():
        name, _, value = line.partition(" ")
        if name == "max":
            return int(value)
    return 0


def is_full(folder: str) -> bool:
    """Whether its file system has no room for a file, or none for what is in one."""
    try:
        status = os.statvfs(folder)
    except OSError:
        return False
    return status.f_bavail * status.f_frsize < _ROOM_BYTES or status.f_favail == 0


def free_memory() -> int:
    """What this container may still take: what is in use counts without the pages that are copies of files and can be dropped."""
    limit = _memory_limit()
    if not limit:
        return 2**53
    used = _number(_V1 / "memory.usage_in_bytes" if _V1.is_dir() else _V2 / "memory.current")
    return max(0, limit - max(0, used - _file_pages()))


def _memory_limit() -> int:
    """0 where nobody bounds it: version 1 says so by a number that no machine has."""
    limit = _number(_V1 / "memory.limit_in_bytes" if _V1.is_dir() else _V2 / "memory.max")
    return limit if limit < 2**53 else 0


def _file_pages() -> int:
    """The workspace is not among them, though its files are pages too: they are nowhere else."""
    names = ("total_inactive_file", "total_active_file") if _V1.is_dir() else ("inactive_file", "active_file")
    stat = _read((_V1 if _V1.is_dir() else _V2) / "memory.stat")
    fields = dict(line.split() for line in stat.splitlines() if len(line.split()) == 2)
    return sum(int(fields.get(name, "0")) for name in names)


def usage() -> dict[str, Any]:
    is_v1 = _V1.is_dir()
    cpu_ns = _number(Path("/sys/fs/cgroup/cpuacct/cpuacct.usage"))
    if not is_v1:
        fields = dict(line.split() for line in _read(_V2 / "cpu.stat").splitlines() if len(line.split()) == 2)
        cpu_ns = int(fields.get("usage_usec", "0")) * 1_000
    return {
        "memory_bytes": _number(_V1 / "memory.usage_in_bytes" if is_v1 else _V2 / "memory.current"),
        "memory_limit_bytes": _memory_limit(),
        "memory_peak_bytes": _number(_V1 / "memory.max_usage_in_bytes" if is_v1 else _V2 / "memory.peak"),
        "oom_kills": oom_kills(),
        "cpu_s": cpu_ns / 1e9,
        "pids": _number(Path("/sys/fs/cgroup/pids/pids.current") if is_v1 else _V2 / "pids.current"),
    }


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _number(path: Path) -> int:
    text = _read(path).strip()
    return int(text) if text.isdigit() else 0
