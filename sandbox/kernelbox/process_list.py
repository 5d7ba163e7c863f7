"""Everything that runs in the sandbox, whoever started it, from /proc."""

import os
import time
from datetime import UTC, datetime
from typing import Any

from . import limits

Json = dict[str, Any]

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def list_processes(commands: dict[int, str], kernels: dict[int, str], left_out: set[int], template_pid: int) -> Json:
    """By pid; with the id of the command that each belongs to, or of the context whose kernel it is."""
    try:
        pids = sorted(int(name) for name in os.listdir("/proc") if name.isdigit())
    except OSError:
        pids = []
    told = [pid for pid in pids if pid not in left_out]
    found = [entry for pid in told[: limits.LISTED_PROCESSES] if (entry := _entry(pid)) is not None]
    # What waits to become a kernel is nobody's yet.
    found = [entry for entry in found if entry["pid"] in kernels or entry["parent_pid"] != template_pid]
    for entry in found:
        entry["process_id"] = commands.get(entry["pid"])
        entry["context_id"] = kernels.get(entry["pid"])
    return {"processes": found, "more": max(0, len(told) - limits.LISTED_PROCESSES)}


def _entry(pid: int) -> Json | None:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # After the name, which can hold anything: state, ppid, …; utime and stime are 14 and 15, the start 22, the resident pages 24 (proc(5)).
            name, _, rest = file.read().partition(b"(")[2].rpartition(b")")
            fields = rest.split()
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            line = file.read(4 * limits.COMMAND_LINE_CHARACTERS)
    except OSError:
        return None
    if len(fields) < 22:
        return None
    command = line.rstrip(b"\0").replace(b"\0", b" ") or b"[" + name + b"]"
    return {
        "pid": pid,
        "parent_pid": int(fields[1]),
        "state": fields[0].decode("ascii", "replace"),
        "command": command.decode("utf-8", "replace")[: limits.COMMAND_LINE_CHARACTERS],
        "cpu_s": round((int(fields[11]) + int(fields[12])) / _TICKS_PER_S, 3),
        "memory_bytes": int(fields[21]) * _PAGE_BYTES,
        "started_at": _instant(int(fields[19]) / _TICKS_PER_S),
    }


def _instant(since_boot_s: float) -> str:
    at = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + since_boot_s
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
