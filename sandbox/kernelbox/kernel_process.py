"""A kernel's process: how it is interrupted and ended."""

import contextlib
import os
import signal
from collections.abc import Callable

from . import limits
from .connection import Connection
from .family import family, kill_all
from .languages import Language
from .process_output import ProcessOutput


class KernelProcess:
    """One kernel that runs, or has ended."""

    def __init__(self, language: Language, pid: int, connection: Connection, words: int, output: ProcessOutput | None = None) -> None:
        self.language = language
        self.pid = pid
        self._words = words
        self.output = output
        self.connection = connection
        self.exit_code = 0
        self.exit_signal = 0
        self.is_alive = True
        self._on_end: Callable[[], None] | None = None

    def when_ended(self, on_end: Callable[[], None]) -> None:
        """Calls it once, now where that was a moment ago."""
        self._on_end = on_end
        if not self.is_alive:
            on_end()

    def interrupt(self) -> None:
        """To the kernel alone, so that what the code has started goes on, or to its group, where it waits for what ignores that."""
        self.wake()
        if self.language.interrupt == "group" and self.is_alive:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGINT)
        else:
            self._signal(signal.SIGINT)

    def wake(self) -> None:
        """Another context's code, of the same uid, may have stopped it."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """The kernel and what its code has started, also in sessions of their own."""
        if self.is_alive:
            kill_all(family(self.pid))

    def family(self) -> list[int]:
        pids = family(self.pid)
        return [self.pid, *(pid for pid in pids if pid != self.pid)]

    def ended(self, exit_code: int, exit_signal: int) -> None:
        self.is_alive = False
        self.exit_code = exit_code
        self.exit_signal = exit_signal
        kill_all(family(self.pid))
        self.connection.remove()
        if self._on_end is not None:
            self._on_end()

    def last_words(self) -> str:
        """What it wrote to stderr before it could speak the protocol. Text of user code, perhaps."""
        if self.output is not None:
            return self.output.last_words()
        try:
            size = os.fstat(self._words).st_size
            at = max(0, size - limits.LAST_WORDS_BYTES)
            return os.pread(self._words, limits.LAST_WORDS_BYTES, at).decode("utf-8", "replace")
        except OSError:
            return ""

    def close(self) -> None:
        os.close(self._words)

    def _signal(self, number: int) -> None:
        if self.is_alive:
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                pass
