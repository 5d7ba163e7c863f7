"""How a kernel ended, and whether it was for want of memory."""

import signal
import time
from collections.abc import Callable
from typing import Any

from . import limits, usage

Json = dict[str, Any]


class MemoryKills:
    """Which of the container's out-of-memory kills belongs to which kernel.

    The system counts such kills and does not say whom they met. So a kernel that was killed takes one that no other has taken. What nobody took in
    some seconds met a process that was no kernel, and is no reason for a later death.
    """

    def __init__(self, count: Callable[[], int] = usage.oom_kills, clock: Callable[[], float] = time.monotonic) -> None:
        self._count = count
        self._clock = clock
        self._taken = 0
        # Two looks at the count, the older of which is always old enough.
        self._before = self._last = (clock(), count())

    def look(self) -> None:
        now = self._clock()
        if now - self._last[0] >= limits.MEMORY_KILL_S:
            self._before, self._last = self._last, (now, self._count())

    def take(self) -> bool:
        """Whether a process that has just been killed may have been so for its memory."""
        is_old = self._clock() - self._last[0] >= limits.MEMORY_KILL_S
        self._taken = max(self._taken, (self._last if is_old else self._before)[1])
        if self._count() <= self._taken:
            return False
        self._taken += 1
        return True


memory_kills = MemoryKills()


def death(exit_code: int, exit_signal: int) -> Json:
    """The facts as an event and a loss tell them. Peak and limit are the whole sandbox's; nobody keeps a kernel's own."""
    if exit_signal == signal.SIGKILL and memory_kills.take():
        now = usage.usage()
        memory = {name: now[name] for name in ("memory_limit_bytes", "memory_peak_bytes")}
        return {"reason": "out_of_memory", "exit_signal": exit_signal, **memory}
    if exit_signal:
        return {"reason": "killed", "exit_signal": exit_signal}
    return {"reason": "exited", "exit_code": exit_code}


def stopped(stopping: str | None) -> Json | None:
    """The same for a kernel that had to be killed to end its code, by what was to end it."""
    if stopping is None:
        return None
    return {"reason": "timeout_kill"} if stopping == "timeout" else {"reason": "killed", "by": "cancel"}
