"""What a process writes to its own stdout and stderr, as text, read by the event loop."""

import asyncio
import codecs
import os
from collections.abc import Callable

from . import limits
from .pipe_end import OnData, PipeEnd

OnText = Callable[[str, str], None]


class ProcessOutput:
    """Two pipes. While paused nothing is read, and a full pipe stops whoever writes to it."""

    def __init__(self) -> None:
        """Raises OSError where there are no descriptors left."""
        self._pipes: list[tuple[str, PipeEnd]] = []
        self._ends: list[int] = []
        self._tail = ""
        try:
            for name in ("stdout", "stderr"):
                read_end, write_end = os.pipe()
                self._ends.append(write_end)
                self._pipes.append((name, PipeEnd(read_end)))
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

        for name, pipe in self._pipes:
            pipe.listen(loop, _decoded(name, take))

    def last_words(self) -> str:
        return self._tail

    def pause(self) -> None:
        for _, pipe in self._pipes:
            pipe.pause()

    def resume(self) -> None:
        for _, pipe in self._pipes:
            pipe.resume()

    def drain(self) -> None:
        for _, pipe in self._pipes:
            pipe.drain()

    def close(self) -> None:
        for _, pipe in self._pipes:
            pipe.close()
        self.started()


def _decoded(name: str, on_text: OnText) -> OnData:
    decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def take(data: bytes) -> None:
        text = decoder.decode(data, final=not data)
        if text:
            on_text(name, text)

    return take
