"""When an execution is over, for a kernel that says so before it has sent all that belongs to it."""

import asyncio
from collections.abc import Callable

from . import limits
from .kernel_client import Message

BARRIER = "kernelbox_barrier"


class Settling:
    """Keeps back the word that an execution is idle until a message that was sent after all of its own has come.

    To make the kernel send that one, code of ours runs in it. Code of a user may have broken that, or may keep the kernel busy: then it is silence
    that ends the waiting.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        raise_barrier: Callable[[], str],
        is_held_back: Callable[[], bool],
        on_settled: Callable[[Message], None],
    ) -> None:
        self._loop = loop
        self._raise_barrier = raise_barrier
        self._is_held_back = is_held_back
        self._on_settled = on_settled
        self._message_id = ""
        self._barrier_id = ""
        self._idle: Message | None = None
        self._until = 0.0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_waiting(self) -> bool:
        return self._idle is not None

    def begin(self, message_id: str) -> None:
        self.settle()
        self._message_id, self._barrier_id = message_id, ""

    def take(self, message: Message) -> Message | None:
        """The message as it shall be passed on, if now."""
        if message.parent_id == self._barrier_id != "":
            if message.kind == BARRIER:
                self.settle()
            if message.kind in (BARRIER, "status", "execute_input", "error"):
                return None
            # It waited in the kernel, and was sent with the name of what ran by then.
            message.parent_id = self._message_id
        if message.parent_id != self._message_id:
            return message
        is_idle = message.kind == "status" and message.content.get("execution_state") == "idle"
        if is_idle and self._idle is None:
            self._idle = message
            self._until = self._loop.time() + limits.SETTLE_S
            self._barrier_id = self._raise_barrier()
        if self._idle is not None:
            self._wait()
        return None if is_idle else message

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
        self._timer = self._loop.call_at(min(self._until, self._loop.time() + limits.SILENCE_S), self._give_up)

    def _give_up(self) -> None:
        if self._is_held_back():
            # It is we who do not read.
            self._until = self._loop.time() + limits.SETTLE_S
            self._wait()
        else:
            self.settle()
