"""Bytes of one request: what the server sends for it, and what is sent for it."""

import asyncio
from collections import deque
from collections.abc import Callable

from . import frames, limits
from .errors import RequestError
from .outbox import Outbox


class Transfer:
    """Both directions of a request's stream, each held back by credit."""

    def __init__(self, stream: int, outbox: Outbox) -> None:
        self.stream = stream
        self.has_sent = False
        self._outbox = outbox
        self._changed = asyncio.Event()
        self._received: deque[bytes] = deque()
        self._may_receive = limits.RECEIVE_CREDIT_BYTES
        self._consumed = 0
        self._is_ended = False
        self._is_overdrawn = False
        self._may_send = limits.SEND_CREDIT_BYTES

    # Called by the channel.

    def data(self, payload: bytes) -> None:
        self._may_receive -= len(payload)
        if self._may_receive >= 0:
            self._received.append(payload)
        else:
            # What is left out once must not look like a whole file.
            self._is_overdrawn = True
        self._changed.set()

    def end(self) -> None:
        self._is_ended = True
        self._changed.set()

    def credit(self, size: int) -> None:
        self._may_send += size
        self._changed.set()

    # Called by the request.

    async def receive(self) -> bytes | None:
        """The next piece, or None behind the last one."""
        if self._is_overdrawn:
            raise RequestError("invalid_argument", "more bytes than there was credit for")
        while not self._received:
            if self._is_ended:
                return None
            self._changed.clear()
            await self._changed.wait()
        piece = self._received.popleft()
        self._consumed += len(piece)
        if self._consumed >= limits.RECEIVE_CREDIT_BYTES // 2:
            self._may_receive += self._consumed
            self._outbox.control(frames.encode(frames.CREDIT, self.stream, self._consumed.to_bytes(4, "big")))
            self._consumed = 0
        return piece

    async def send_from(self, read: Callable[[int], bytes]) -> int:
        """Sends what `read` gives, a piece of at most so many bytes at a time, until it gives nothing."""
        sent = 0
        while piece := read(limits.SEND_BYTES):
            await self.send(piece)
            sent += len(piece)
        self.end_sending()
        return sent

    async def send(self, piece: bytes) -> None:
        self.has_sent = True
        view = memoryview(piece)
        while view:
            while self._may_send <= 0:
                self._changed.clear()
                await self._changed.wait()
            part = view[: self._may_send]
            self._may_send -= len(part)
            self._outbox.bulk([frames.encode(frames.DATA, self.stream, part)])
            view = view[len(part) :]
        # An interrupt that waits behind this piece must not wait behind the next one too.
        await asyncio.sleep(0)

    def end_sending(self) -> None:
        self.has_sent = True
        self._outbox.bulk([frames.encode(frames.END, self.stream)], hold=True)
