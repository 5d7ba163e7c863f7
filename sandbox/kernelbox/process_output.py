"""What a process writes to its own stdout and stderr, read by the event loop."""

import asyncio
import codecs
import fcntl
import os
from collections.abc import Callable

from . import limits

OnText = Callable[[str, str], None]


class ProcessOutput:
    """Two pipes. While paused nothing is read, and a full pipe stops whoever writes to it."""

    def __init__(self) -> None:
        """Raises OSError where there are no descriptors left."""
        self._pipes: list[_Pipe] = []
        self._ends: list[int] = []
        self._tail = ""
        try:
            for name in ("stdout", "stderr"):
                read_end, write_end = os.pipe()
                self._ends.append(write_end)
                self._pipes.append(_Pipe(name, read_end))
        except OSError:
            self.close()
            raise

    @property
    def ends(self) -> tuple[int, int]:
        """Where a process that is about to start shall write."""
        return self._ends[0], self._ends[1]

    def started(self) -> None:
        """The process has its own copies of the ends."""
        for end in self._ends:
            os.close(end)
        self._ends.clear()

    def listen(self, loop: asyncio.AbstractEventLoop, on_text: OnText) -> None:
        def take(name: str, text: str) -> None:
            self._tail = (self._tail + text)[-limits.LAST_WORDS_BYTES :]
            on_text(name, text)

        for pipe in self._pipes:
            pipe.listen(loop, take)

    def last_words(self) -> str:
        return self._tail

    def pause(self) -> None:
        for pipe in self._pipes:
            pipe.pause()

    def resume(self) -> None:
        for pipe in self._pipes:
            pipe.resume()

    def drain(self) -> None:
        """Takes what is in the pipes now. A finished writer cannot have left more than a pipe holds, and an endless one cannot hold us."""
        for pipe in self._pipes:
            pipe.drain()

    def close(self) -> None:
        for pipe in self._pipes:
            pipe.close()
        self.started()


class _Pipe:
    def __init__(self, name: str, descriptor: int) -> None:
        self._name = name
        self._descriptor = descriptor
        # Ours alone: the other end has modes of its own.
        os.set_blocking(descriptor, False)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._on_text: OnText | None = None
        self._is_open = True

    def listen(self, loop: asyncio.AbstractEventLoop, on_text: OnText) -> None:
        self._loop = loop
        self._on_text = on_text
        self.resume()

    def pause(self) -> None:
        if self._is_open and self._loop is not None:
            self._loop.remove_reader(self._descriptor)

    def resume(self) -> None:
        if self._is_open and self._loop is not None:
            self._loop.add_reader(self._descriptor, self._read, limits.PROCESS_OUTPUT_BYTES)

    def drain(self) -> None:
        if not self._is_open:
            return
        left = fcntl.fcntl(self._descriptor, fcntl.F_GETPIPE_SZ)
        while left > 0:
            read = self._read(min(left, limits.PROCESS_OUTPUT_BYTES))
            if read == 0:
                return
            left -= read

    def _read(self, size: int) -> int:
        if not self._is_open:
            return 0
        try:
            data = os.read(self._descriptor, size)
        except BlockingIOError:
            return 0
        except OSError:
            data = b""
        text = self._decoder.decode(data, final=not data)
        if not data:
            self.close()
        if text and self._on_text is not None:
            self._on_text(self._name, text)
        return len(data)

    def close(self) -> None:
        if self._is_open:
            self.pause()
            self._is_open = False
            os.close(self._descriptor)
