"""PID 1 collects every process that ends: its own, and the orphans of user code."""

import asyncio
import os
import signal
from collections.abc import Callable

OnEnd = Callable[[int, int], None]


class Reaper:
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._on_end: dict[int, OnEnd] = {}
        loop.add_signal_handler(signal.SIGCHLD, self.reap)

    def expect(self, pid: int, on_end: OnEnd) -> None:
        """`on_end(exit_code, signal)` is called once; one of the two is 0."""
        self._on_end[pid] = on_end
        # It may have ended before anybody expected it; it stays a zombie until it is waited for here.
        self.reap()

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
