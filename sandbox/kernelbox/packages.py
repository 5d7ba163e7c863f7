"""The installed Python packages, by the names of their folders: no kernel is needed, and no file of the user's is read."""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice

from . import limits
from .errors import RequestError
from .paths import HOME, Paths

_IMAGE = f"{sys.prefix}/lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
_USER = f"{HOME}/.local/lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
# The name and version of a distribution's folder, as the packaging standards spell them.
_FOLDER = re.compile(r"([A-Za-z0-9](?:[A-Za-z0-9._]{0,98}[A-Za-z0-9])?)-([0-9][A-Za-z0-9.!+_]{0,63})\.dist-info")


def installed(paths: Paths, image: str = _IMAGE, user: str = _USER) -> tuple[list[dict[str, str]], int]:
    """Sorted by name, and how many were left out. What the user has installed wins over the image's, as it does in a kernel."""
    found: dict[str, str] = {}
    with suppress(OSError), os.scandir(image) as folder:
        found.update(_distributions(folder))
    with suppress(OSError, RequestError):
        fd = paths.open(user, os.O_RDONLY | os.O_DIRECTORY)
        try:
            with os.scandir(fd) as folder:
                found.update(_distributions(folder))
        finally:
            os.close(fd)
    packages = [{"name": name, "version": found[name]} for name in sorted(found)]
    return packages[: limits.PACKAGES], max(0, len(packages) - limits.PACKAGES)


def _distributions(folder: Iterator[os.DirEntry[str]]) -> dict[str, str]:
    found = {}
    for entry in islice(folder, limits.PACKAGE_ENTRIES):
        match = _FOLDER.fullmatch(entry.name)
        if match is not None and entry.is_dir(follow_symlinks=False):
            found[re.sub(r"[-_.]+", "-", match[1]).lower()] = match[2]
    return found
