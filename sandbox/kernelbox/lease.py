"""How long the sandbox lives without its server."""

import threading
import time
from collections.abc import Callable

from . import limits


class Lease:
    """Ends the sandbox when no server was heard for its time.

    It is watched from a thread of its own, so that nothing that holds up the event loop can hold up the end. A gap in the watcher's own ticks means
    that the machine slept: that grants one lease more, and no second one before a server is heard again.
    """

    def __init__(self, on_end: Callable[[], None]) -> None:
        self._on_end = on_end
        self._seconds = limits.FIRST_LEASE_S
        self._heard = self._ticked = time.monotonic()
        self._has_granted = False

    def watch(self) -> None:
        threading.Thread(target=self._watch, daemon=True).start()

    def set(self, seconds: float) -> None:
        self._seconds = min(max(seconds, 1.0), limits.LEASE_S_MAX)
        self.renew()

    def renew(self) -> None:
        self._heard = time.monotonic()
        self._has_granted = False

    def tick(self) -> bool:
        """Whether it has run out."""
        now = time.monotonic()
        if now - self._ticked > limits.SLEPT_S and not self._has_granted:
            self._heard = now
            self._has_granted = True
        self._ticked = now
        return now - self._heard > self._seconds

    def _watch(self) -> None:
        while not self.tick():
            time.sleep(limits.TICK_S)
        self._on_end()
