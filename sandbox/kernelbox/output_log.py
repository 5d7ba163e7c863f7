"""What a process said on one stream, each byte at its offset: the end of it in memory, for a server that follows, or that comes back."""

from collections.abc import Callable

from . import limits


class OutputLog:
    """Keeps what was not sent yet, and of what was sent as much as can be on its way to a server that then goes.

    Past the bound of what was not sent the caller should stop reading (`is_full`).
    """

    def __init__(self, on_room: Callable[[], None]) -> None:
        self._kept = bytearray()
        self._start = 0
        self._sent = 0
        self._on_room = on_room
        self.is_ended = False

    @property
    def end(self) -> int:
        """How many bytes there were so far."""
        return self._start + len(self._kept)

    @property
    def is_full(self) -> bool:
        return self.end - self._sent >= limits.PROCESS_UNSENT_BYTES

    def append(self, data: bytes) -> None:
        """Nothing is the end."""
        if not data:
            self.is_ended = True
        self._kept += data

    def read(self, offset: int, size: int) -> tuple[int, bytes]:
        """At most so many bytes from there, or from where what is kept begins: where that is, and the bytes."""
        start = max(offset, self._start)
        piece = bytes(self._kept[start - self._start : start - self._start + size])
        was_full = self.is_full
        self._sent = max(self._sent, start + len(piece))
        self._trim()
        if was_full and not self.is_full:
            self._on_room()
        return start, piece

    def _trim(self) -> None:
        surplus = self._sent - limits.PROCESS_SENT_BYTES - self._start
        # In large steps: each moves all that is kept.
        if surplus >= limits.PROCESS_SENT_BYTES:
            del self._kept[:surplus]
            self._start += surplus
