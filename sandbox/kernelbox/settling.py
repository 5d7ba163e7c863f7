"""When an execution is over, for a kernel that says so too early."""

import asyncio
from collections.abc import Callable

from . import limits
from .kernel_client import Message


class Settling:
    """Keeps the word that an execution is idle back until its reply has come and nothing more for a while: a result may come after both.

    The while begins again with each message of the execution, and has an end in any case.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, quiet_s: float, on_settled: Callable[[Message], None]) -> None:
        self._loop = loop
        self._quiet_s = quiet_s
        self._on_settled = on_settled
        self._message_id = ""
        self._is_replied = False
        self._idle: Message | None = None
        self._until = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, message_id: str) -> None:
        self.settle()
        self._message_id = message_id
        self._is_replied = False

    def output(self, message: Message) -> bool:
        """Whether the message is kept back."""
        if message.parent_id != self._message_id:
            return False
        is_idle = message.kind == "status" and message.content.get("execution_state") == "idle"
        if is_idle and self._idle is None:
            self._idle = message
            self._until = self._loop.time() + limits.SETTLE_S
        if self._idle is not None:
            self._wait()
        return is_idle

    def reply(self, message: Message) -> None:
        if message.parent_id == self._message_id:
            self._is_replied = True
            if self._idle is not None:
                self._wait()

    def settle(self) -> None:
        """Waits no longer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        idle, self._idle = self._idle, None
        if idle is not None:
            self._on_settled(idle)

    def _wait(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        until = min(self._until, self._loop.time() + self._quiet_s) if self._is_replied else self._until
        self._timer = self._loop.call_at(until, self.settle)
