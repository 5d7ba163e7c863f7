"""The stdin of a process that a server writes to."""

import asyncio
import os

from . import limits


class ProcessInput:
    def __init__(self, loop: asyncio.AbstractEventLoop, descriptor: int) -> None:
        self._loop = loop
        self._descriptor = descriptor
        os.set_blocking(descriptor, False)
        self._turn = asyncio.Lock()
        self.is_open = True

    async def write(self, data: bytes) -> int:
        """How many of the bytes were taken: fewer than all where the process does not read, or has closed its stdin."""
        async with self._turn:
            written = 0
            deadline = self._loop.time() + limits.PROCESS_INPUT_S
            while self.is_open and written < len(data):
                try:
                    written += os.write(self._descriptor, data[written:])
                except BlockingIOError:
                    if self._loop.time() >= deadline:
                        break
                    await self._room(deadline)
                except OSError:
                    # Nobody has the other end any more.
                    self.close()
            return written

    def close(self) -> None:
        if self.is_open:
            self.is_open = False
            self._loop.remove_writer(self._descriptor)
            os.close(self._descriptor)

    async def _room(self, deadline: float) -> None:
        room = asyncio.Event()
        self._loop.add_writer(self._descriptor, room.set)
        try:
            await asyncio.wait_for(room.wait(), deadline - self._loop.time())
        except TimeoutError:
            pass
        finally:
            if self.is_open:
                self._loop.remove_writer(self._descriptor)
