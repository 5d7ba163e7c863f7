"""PID 1 collects every process that ends: its own, and the orphans of user code."""

import asyncio
import os
import signal
from collections.abc import Callable

OnEnd = Callable[[int, int], None]

_UNKNOWN = 255


class Reaper:
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._on_end: dict[int, OnEnd] = {}
        loop.add_signal_handler(signal.SIGCHLD, self.reap)

    def expect(self, pid: int, on_end: OnEnd) -> None:
        """`on_end(exit_code, signal)` is called once; one of the two is 0. How a process ended that was collected before is not known."""
        self._on_end[pid] = on_end
        self.reap()
        if pid in self._on_end and not _exists(pid):
            del self._on_end[pid]
            on_end(_UNKNOWN, 0)

    def reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            on_end = self._on_end.pop(pid, None)
            if on_end is not None:
                code = os.waitstatus_to_exitcode(status)
                on_end(max(code, 0), max(-code, 0))


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True
