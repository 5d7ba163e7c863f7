"""What a group of processes uses, from /proc."""

import asyncio
import os
import time
from typing import Any

from . import limits, usage

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


async def processes_usage(pids: list[int]) -> dict[str, Any]:
    """Memory with what several processes share divided among them, where the system tells it; else what is resident in each.

    The system goes through all pages of a process for that, tens of milliseconds for a gigabyte: others have their turn after each, and in the end it
    is not asked any more.
    """
    pids = pids[: limits.USAGE_PROCESSES]
    memory, is_exact = 0, True
    until = time.monotonic() + limits.USAGE_S
    for pid in pids:
        is_exact = time.monotonic() < until
        memory += (_proportional(pid) if is_exact else 0) or _resident(pid)
        await asyncio.sleep(0)
    return {
        # What they share was counted again and again, but they have not more than all have.
        "memory_bytes": memory if is_exact else min(memory, usage.usage()["memory_bytes"]),
        "cpu_s": round(sum(_cpu_s(pid) for pid in pids), 3),
        "processes": len(pids),
    }


def folder_of(pid: int) -> str | None:
    """Where the process works now. Its name is the user's text."""
    try:
        return os.fsencode(os.readlink(f"/proc/{pid}/cwd"))[: limits.PATH_BYTES].decode("utf-8", "replace")
    except OSError:
        return None


def _proportional(pid: int) -> int:
    """0 where it may not be read: a process can close itself to others."""
    for line in _read(f"/proc/{pid}/smaps_rollup").splitlines():
        name, _, value = line.partition(b":")
        if name == b"Pss":
            return int(value.split()[0]) * 1024
    return 0


def _resident(pid: int) -> int:
    fields = _read(f"/proc/{pid}/statm").split()
    return int(fields[1]) * _PAGE_BYTES if len(fields) > 1 else 0


def _cpu_s(pid: int) -> float:
    """Its own, and that of its children that have ended and were waited for."""
    # After the name, which can hold anything: state is field 3, utime to cstime are 14 to 17 (proc(5)).
    fields = _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    return sum(map(int, fields[11:15])) / _TICKS_PER_S if len(fields) > 14 else 0.0


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""
