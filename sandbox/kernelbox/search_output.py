"""What ripgrep prints, taken apart as it comes. Names and lines are hostile: a name may hold line breaks, and look like anything ripgrep says."""

from collections.abc import Iterator

from .errors import RequestError

# A name, and of a file that was searched the number of the line and the line.
Found = tuple[bytes, int | None, bytes]

_EMPTY = (b"\n", b"\r\n")


class SearchOutput:
    """
    Of names (--files --null) each ends with NUL. Of matches (--heading --null) a file's name and NUL stand before its lines, "number:line", and an
    empty line between two files. Behind the lines of a file that turned out to be binary stand its name and a note. So what begins is always clear.
    """

    def __init__(self, *, is_names: bool) -> None:
        self._is_names = is_names
        self._buffer = b""
        self._name: bytes | None = None

    def feed(self, piece: bytes) -> Iterator[Found]:
        self._buffer += piece
        at = 0
        while (end := self._end(at)) > 0:
            part = self._buffer[at:end]
            at = end
            if self._is_names:
                yield part[:-1], None, b""
            elif self._name is None:
                self._name = part[:-1]
            elif part in _EMPTY:
                self._name = None
            elif not part.startswith(self._name + b": "):
                number, colon, line = part.partition(b":")
                if not number.isdigit() or len(number) > 15 or not colon:
                    raise RequestError("unsupported", "this ripgrep prints another form")
                yield self._name, int(number), line.rstrip(b"\r\n")
        self._buffer = self._buffer[at:]

    def _end(self, at: int) -> int:
        """Where the part ends that begins there; 0 where that is still to come."""
        if self._is_names or self._name is None:
            return self._buffer.find(b"\0", at) + 1
        if self._buffer[at : at + 1].isdigit() or self._buffer[at : at + 1] in (b"\n", b"\r"):
            return self._buffer.find(b"\n", at) + 1
        # The note: the name in it may hold line breaks.
        return self._buffer.find(b"\n", at + len(self._name)) + 1
