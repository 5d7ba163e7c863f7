"""Processes that belong together, by what /proc tells."""

import os
import signal


def family(pid: int) -> list[int]:
    """The process, all that descend from it and all of its session. A daemon that has left both is not found."""
    children: dict[int, list[int]] = {}
    found_pids = {pid}
    for member, parent, session in _processes():
        children.setdefault(parent, []).append(member)
        if session == pid:
            found_pids.add(member)
    found = list(found_pids)
    for member in found:
        below = [child for child in children.get(member, ()) if child not in found_pids]
        found_pids.update(below)
        found += below
    return found


def signal_all(pids: list[int], number: int) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except OSError:
            pass


def kill_all(pids: list[int]) -> None:
    signal_all(pids, signal.SIGKILL)


def _processes() -> list[tuple[int, int, int]]:
    """Each with its parent and its session. None where we are out of descriptors, say."""
    try:
        names = [name for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return []
    found = []
    for name in names:
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                # After the name: state, ppid, pgrp, session (proc(5)).
                _, parent, _, session = file.read().rpartition(b")")[2].split()[:4]
        except (OSError, ValueError):
            continue
        found.append((int(name), int(parent), int(session)))
    return found
