"""What a fetch has brought."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fetched:
    """The packages by name and version, and the files that hold them: for pip one each, in the same order."""

    packages: list[tuple[str, str]]
    paths: list[str]
