"""Removes what an installed package consists of, as its RECORD says: a list that anybody may have written."""

import csv
import os
import stat
from collections.abc import Iterator

from .. import limits
from ..paths import Paths
from .places import Places
from .undo import Undo


def remove(folder: str, places: Places, undo: Undo) -> None:
    """Files beneath the user's own site-packages, and commands in ~/.local/bin; nothing through a link, and nothing elsewhere."""
    roots = {root: root for root in (places.site, places.scripts) if os.path.isdir(root)}
    paths = Paths(roots)
    try:
        for name in [*_recorded(folder), *_own_files(folder)]:
            _move_away(os.path.normpath(os.path.join(places.site, name)), paths, undo)
    finally:
        paths.close()


def _move_away(path: str, paths: Paths, undo: Undo) -> None:
    try:
        parent, name = paths.open_parent(path)
    except Exception:  # noqa: BLE001  whatever is wrong with one of its names, the others go
        return
    try:
        if stat.S_ISREG(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
            undo.move_away(path)
    except OSError:
        pass
    finally:
        os.close(parent)


def _recorded(folder: str) -> Iterator[str]:
    try:
        with open(os.open(os.path.join(folder, "RECORD"), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), newline="", errors="replace") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode) or status.st_size > limits.RECORD_BYTES:
                return
            for number, row in enumerate(csv.reader(file)):
                if number >= limits.INSTALL_ENTRIES:
                    return
                if row and row[0] and "\0" not in row[0]:
                    yield row[0]
    except (OSError, csv.Error):
        return


def _own_files(folder: str) -> Iterator[str]:
    """Without a RECORD that names them it would go on to be taken for installed."""
    name = os.path.basename(folder)
    try:
        for parent, _, files in os.walk(folder):
            for file in files:
                yield os.path.join(name, os.path.relpath(os.path.join(parent, file), folder))
    except OSError:
        return
