"""What waits to be written to the server."""

import asyncio
import os
from collections import deque

from . import limits

_BATCH_BYTES = 64 * 1024


class Outbox:
    """Writes frames without ever blocking, control before bulk, never one frame inside another.

    What may wait here is bounded by whoever fills it: answers by the number of requests, data by credit, events by acknowledgement.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, fd: int) -> None:
        self._loop = loop
        self._fd = fd
        self._control: deque[bytes] = deque()
        self._bulk: deque[bytes] = deque()
        self._bulk_bytes = 0
        # Whole frames of which a part may be written already; it must be ended before anything else.
        self._batch: memoryview | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._waits_for_fd = False
        os.set_blocking(fd, False)

    def control(self, frame: bytes) -> None:
        self._control.append(frame)
        self.flush()

    def bulk(self, frames: list[bytes], *, hold: bool = False) -> None:
        """`hold` lets a moment pass, so that what comes at once leaves in one write."""
        self._bulk.extend(frames)
        self._bulk_bytes += sum(map(len, frames))
        if not hold or self._bulk_bytes >= limits.COALESCE_BYTES:
            self.flush()
        elif self._timer is None:
            self._timer = self._loop.call_later(limits.COALESCE_S, self.flush)

    def clear(self) -> None:
        """Drops what was meant for an earlier server."""
        self._control.clear()
        self._bulk.clear()
        self._bulk_bytes = 0

    def flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while not self._waits_for_fd:
            batch = self._batch or self._next_batch()
            if batch is None:
                return
            try:
                written = os.write(self._fd, batch)
            except BlockingIOError:
                written = 0
            except OSError:
                # Nobody can ever read it; the lease ends the rest.
                self._batch = None
                self.clear()
                return
            self._batch = batch[written:] if written < len(batch) else None
            if self._batch is not None:
                self._waits_for_fd = True
                self._loop.add_writer(self._fd, self._writable)

    def _writable(self) -> None:
        self._loop.remove_writer(self._fd)
        self._waits_for_fd = False
        self.flush()

    def _next_batch(self) -> memoryview | None:
        frames: list[bytes] = []
        size = 0
        while size < _BATCH_BYTES and (self._control or self._bulk):
            if self._control:
                frame = self._control.popleft()
            else:
                frame = self._bulk.popleft()
                self._bulk_bytes -= len(frame)
            frames.append(frame)
            size += len(frame)
        return memoryview(b"".join(frames)) if frames else None
