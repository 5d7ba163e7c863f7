"""How much folders may grow while something writes into them."""

from .. import limits
from .failure import FetchError
from .folder_size import files_beneath


class Growth:
    """Each folder on its own, against what it held at first. Another fetch of the same principal may add to it; both are then judged by the sum."""

    def __init__(self, folders: list[str], max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._before = {folder: _held(folder) for folder in folders}

    def check(self) -> None:
        for folder, (size, count) in self._before.items():
            size_now, count_now = _held(folder)
            if size_now - size > self._max_bytes:
                raise FetchError("too_large", max_bytes=self._max_bytes)
            if count_now - count > limits.INSTALL_ENTRIES:
                raise FetchError("too_large", max_files=limits.INSTALL_ENTRIES)


def _held(folder: str) -> tuple[int, int]:
    """Bytes, and the number of files."""
    files = files_beneath(folder)
    return sum(size for _, size, _ in files), len(files)
