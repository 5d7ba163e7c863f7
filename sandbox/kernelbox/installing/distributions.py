"""The Python packages that are there, and which of the asked ones are among them."""

import os
import re
from collections.abc import Iterable
from importlib.metadata import Distribution
from itertools import islice

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from .. import limits
from .failure import InstallError
from .places import Places

_FOLDER = re.compile(r"([A-Za-z0-9](?:[A-Za-z0-9._]{0,98}[A-Za-z0-9])?)-([0-9][A-Za-z0-9.!+_]{0,63})\.dist-info")


class Distributions:
    """By their folders' names; files are read of those only whose extras are asked for."""

    def __init__(self, places: Places) -> None:
        self.user = _of(places.site)
        # The user's own version wins, as it does in a kernel.
        self._found = {**_of(places.image), **self.user}

    def version(self, name: str) -> str | None:
        found = self._found.get(canonicalize_name(name))
        return None if found is None else found[1]

    def meets(self, requirement: Requirement, seen: frozenset[str] = frozenset()) -> bool:
        name = canonicalize_name(requirement.name)
        found = self._found.get(name)
        if found is None or not _is_within(requirement, found[1]):
            return False
        if not requirement.extras or name in seen:
            return True
        needs = list(_needs(found[0], requirement.extras))
        return all(self.meets(need, seen | {name}) for need in needs)


def parsed(packages: list[str]) -> list[Requirement]:
    try:
        return [Requirement(package) for package in packages]
    except InvalidRequirement:
        raise InstallError("invalid_argument", "a package's name or version is not valid") from None


def _is_within(requirement: Requirement, version: str) -> bool:
    try:
        # What is there is there, be it a pre-release.
        return bool(requirement.specifier.contains(Version(version), prereleases=True))
    except InvalidVersion:
        return False


def _needs(folder: str, extras: Iterable[str]) -> Iterable[Requirement]:
    """What the extras add; nothing where a package does not tell, or too much."""
    try:
        if os.path.getsize(os.path.join(folder, "METADATA")) > limits.RECORD_BYTES:
            return
        lines = Distribution.at(folder).requires or []
    except OSError:
        return
    for line in lines:
        try:
            need = Requirement(line)
        except InvalidRequirement:
            continue
        if need.marker is None or need.marker.evaluate({"extra": ""}):
            continue
        if any(need.marker.evaluate({"extra": extra}) for extra in extras):
            yield need


def _of(folder: str) -> dict[str, tuple[str, str]]:
    """The folder and the version of each, by its name."""
    found = {}
    try:
        with os.scandir(folder) as entries:
            for entry in islice(entries, limits.PACKAGE_ENTRIES):
                match = _FOLDER.fullmatch(entry.name)
                if match is not None and entry.is_dir(follow_symlinks=False):
                    found[canonicalize_name(match[1])] = (entry.path, match[2])
    except OSError:
        return {}
    return found
