"""What is asked for: one line of JSON, checked again here, since what comes next hands it to pip or Deno."""

import json
import re
from dataclasses import dataclass
from typing import Any, Literal

from .. import limits
from .failure import FetchError

Manager = Literal["pip", "npm"]

# Neither begins with a dash, so neither can be a flag.
_PIP = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(\[[A-Za-z0-9._, -]*\])?\s*(\(?[<>=!~][A-Za-z0-9.*+!<>=~, _-]*\)?)?")
# What ends like an archive is a file for pip. The server has the same list.
_ARCHIVE = re.compile(r"\.(whl|zip|tar|tgz|tbz|txz|tlz|tar\.(gz|bz2|xz|lz|lzma))(\s*\[[^\]]*\])?$", re.IGNORECASE)
_NPM = re.compile(r"(@[A-Za-z0-9~_][A-Za-z0-9~_.-]*/)?[A-Za-z0-9~_][A-Za-z0-9~_.-]*(@[A-Za-z0-9.^~<>=*+-]+)?")
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,98}[A-Za-z0-9])?")
_VERSION = re.compile(r"[0-9][A-Za-z0-9.!+_-]{0,63}")
_PROXY = re.compile(r"http://[0-9.]{7,15}:[0-9]{1,5}")
_INDEXES = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "NPM_CONFIG_REGISTRY")


@dataclass(frozen=True, slots=True)
class Request:
    manager: Manager
    packages: list[str]
    # None where the container reaches the index without one.
    proxy: str | None
    indexes: dict[str, str]
    # What the sandbox has beside the image's packages.
    installed: list[tuple[str, str]]
    max_bytes: int
    cache_bytes: int
    timeout_s: float

    @staticmethod
    def parse(line: bytes) -> "Request":
        try:
            return _read(json.loads(line))
        except (ValueError, TypeError, KeyError, AttributeError):
            raise FetchError("invalid") from None

    def proxy_environment(self) -> dict[str, str]:
        if self.proxy is None:
            return {}
        return {name: self.proxy for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")}


def _read(wanted: dict[str, Any]) -> Request:
    manager: Manager = {"pip": "pip", "npm": "npm"}[wanted["manager"]]  # type: ignore[assignment]
    pattern = _PIP if manager == "pip" else _NPM
    packages = [str(package) for package in wanted["packages"]]
    if not 0 < len(packages) <= limits.INSTALL_PACKAGES or not all(is_package(pattern, package) for package in packages):
        raise ValueError("packages")
    proxy = wanted.get("proxy")
    if proxy is not None and not _PROXY.fullmatch(proxy):
        raise ValueError("proxy")
    installed = [(str(each["name"]), str(each["version"])) for each in wanted.get("installed", [])][: limits.PACKAGES]
    return Request(
        manager=manager,
        packages=packages,
        proxy=proxy,
        indexes={name: str(value) for name, value in wanted.get("indexes", {}).items() if name in _INDEXES},
        # What a sandbox says becomes part of a folder's name; what is no name is left out.
        installed=[(name, version) for name, version in installed if _NAME.fullmatch(name) and _VERSION.fullmatch(version)],
        max_bytes=int(wanted["max_bytes"]),
        cache_bytes=int(wanted["cache_bytes"]),
        timeout_s=float(wanted["timeout_s"]),
    )


def is_package(pattern: re.Pattern[str], package: str) -> bool:
    is_file = pattern is _PIP and _ARCHIVE.search(package) is not None
    return len(package) <= limits.INSTALL_NAME_CHARACTERS and pattern.fullmatch(package) is not None and ".." not in package and not is_file
