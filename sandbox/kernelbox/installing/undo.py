"""What was written and moved for one package, so that it can be taken back."""

import os
import shutil
from contextlib import suppress


class Undo:
    def __init__(self, trash: str, kept: tuple[str, ...] = ()) -> None:
        """Folders that become empty go, but for those that are `kept`: running kernels have one of them on their path."""
        self._trash = trash
        self._kept = kept
        self._written: list[str] = []
        self._moved: list[tuple[str, str]] = []

    def wrote(self, path: str) -> None:
        self._written.append(path)

    def move_away(self, path: str) -> None:
        """Puts a file aside that something else takes the place of."""
        os.makedirs(self._trash, exist_ok=True)
        aside = os.path.join(self._trash, str(len(self._moved)))
        os.rename(path, aside)
        self._moved.append((path, aside))

    def take_back(self) -> None:
        for path in reversed(self._written):
            with suppress(OSError):
                os.unlink(path)
        for path, aside in reversed(self._moved):
            with suppress(OSError):
                os.makedirs(os.path.dirname(path), exist_ok=True)
                os.rename(aside, path)
        self._remove_empty(self._written)

    def keep(self) -> None:
        """It is done: what was put aside goes."""
        shutil.rmtree(self._trash, ignore_errors=True)
        self._remove_empty([path for path, _ in self._moved])

    def _remove_empty(self, paths: list[str]) -> None:
        for folder in sorted({os.path.dirname(path) for path in paths}, key=len, reverse=True):
            with suppress(OSError):
                while folder not in self._kept:
                    os.rmdir(folder)
                    folder = os.path.dirname(folder)
