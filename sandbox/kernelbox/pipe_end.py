"""The end of a pipe or terminal that we read, by the event loop."""

import asyncio
import fcntl
import os
from collections.abc import Callable

from . import limits

OnData = Callable[[bytes], None]
"""Takes what was read; nothing is the end, which comes once."""


class PipeEnd:
    """While paused nothing is read, and a full pipe stops whoever writes to it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        # Ours alone: the other end has modes of its own.
        os.set_blocking(descriptor, False)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._on_data: OnData | None = None
        self.is_open = True

    def listen(self, loop: asyncio.AbstractEventLoop, on_data: OnData) -> None:
        self._loop = loop
        self._on_data = on_data
        self.resume()

    def pause(self) -> None:
        if self.is_open and self._loop is not None:
            self._loop.remove_reader(self._descriptor)

    def resume(self) -> None:
        if self.is_open and self._loop is not None:
            self._loop.add_reader(self._descriptor, self._read, limits.PROCESS_OUTPUT_BYTES)

    def drain(self) -> None:
        """Takes what is there now. A finished writer cannot have left more than a pipe holds, and an endless one cannot hold us."""
        left = self._capacity()
        while left > 0 and self.is_open:
            read = self._read(min(left, limits.PROCESS_OUTPUT_BYTES))
            if read == 0:
                return
            left -= read

    def close(self) -> None:
        if self.is_open:
            self.pause()
            self.is_open = False
            os.close(self._descriptor)

    def _capacity(self) -> int:
        try:
            return fcntl.fcntl(self._descriptor, fcntl.F_GETPIPE_SZ) if self.is_open else 0
        except OSError:
            # A terminal, which holds less.
            return limits.PROCESS_OUTPUT_BYTES

    def _read(self, size: int) -> int:
        if not self.is_open:
            return 0
        try:
            data = os.read(self._descriptor, size)
        except BlockingIOError:
            return 0
        except OSError:
            # So a terminal says that nobody has its other side open any more.
            data = b""
        if not data:
            self.close()
        if self._on_data is not None:
            self._on_data(data)
        return len(data)
