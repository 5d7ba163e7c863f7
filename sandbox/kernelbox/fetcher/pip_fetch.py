"""Wheels by pip: it resolves against what is installed, then gets exactly those wheels. No package's code runs, since only wheels are taken."""

import json
import os
import re
import shutil
import sys
from typing import Any

from .. import limits
from . import pip_words
from .cache import Cache
from .failure import FetchError
from .fetched import Fetched
from .growth import Growth
from .program import run, tried_twice
from .request import Request

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,98}[A-Za-z0-9])?")
_VERSION = re.compile(r"[0-9][A-Za-z0-9.!+]{0,63}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def fetch(request: Request, cache: Cache, job: str, deadline: float) -> Fetched:
    pip = _Pip(request, cache, job, deadline)
    return tried_twice(pip.fetch, lambda: cache.forget(cache.pip))


class _Pip:
    def __init__(self, request: Request, cache: Cache, job: str, deadline: float) -> None:
        self._request = request
        self._cache = cache
        self._job = job
        self._deadline = deadline
        self._installed = os.path.join(job, "installed")
        self._temporary = os.path.join(job, "temporary")
        os.makedirs(self._temporary)
        self._growth = Growth([job], request.max_bytes)
        for name, version in request.installed:
            _write_metadata(self._installed, name, version)

    def fetch(self) -> Fetched:
        wanted = self._resolve()
        if not wanted:
            return Fetched([], [])
        wheels = os.path.join(self._job, "wheels")
        shutil.rmtree(wheels, ignore_errors=True)
        lock = os.path.join(self._job, "lock.txt")
        with_hashes = all(digest for _, _, digest in wanted)
        with open(lock, "w") as file:
            for name, version, digest in wanted:
                file.write(f"{name}=={version}{f' --hash=sha256:{digest}' if with_hashes else ''}\n")
        self._run(["download", "--no-deps", "--only-binary", ":all:", "--dest", wheels, "--requirement", lock])
        paths = sorted(os.path.join(wheels, name) for name in os.listdir(wheels))
        if len(paths) != len(wanted) or not all(path.endswith(".whl") for path in paths):
            raise FetchError("failed")
        packages = {_folded(name): (name, version) for name, version, _ in wanted}
        try:
            # Paths are sorted by names that need not sort as the packages do.
            named = [packages[_folded(os.path.basename(path).split("-")[0])] for path in paths]
        except KeyError:
            raise FetchError("failed") from None
        return Fetched(named, paths)

    def _resolve(self) -> list[tuple[str, str, str]]:
        """Name, version and hash of each wheel that is missing."""
        report = os.path.join(self._job, "report.json")
        self._run(["install", "--dry-run", "--only-binary", ":all:", "--report", report, "--", *self._request.packages])
        if os.path.getsize(report) > limits.FETCH_REPORT_BYTES:
            raise FetchError("too_large", max_bytes=limits.FETCH_REPORT_BYTES)
        with open(report) as file:
            install = json.load(file)["install"]
        if len(install) > limits.INSTALL_WHEELS:
            raise FetchError("too_many", count=len(install), max_count=limits.INSTALL_WHEELS)
        return [_wheel(each) for each in install]

    def _run(self, arguments: list[str]) -> None:
        log, said = os.path.join(self._job, "log"), os.path.join(self._job, "said")
        with open(log, "w"):
            pass
        env = {
            "HOME": "/tmp",
            "PATH": "/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "TMPDIR": self._temporary,
            # Settings by environment alone: an index address may hold a password, and arguments show in a list of processes.
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_CACHE_DIR": self._cache.pip,
            "PIP_LOG": log,
            "PIP_NO_INPUT": "1",
            "PIP_KEYRING_PROVIDER": "disabled",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_PROGRESS_BAR": "off",
            "PIP_NO_COLOR": "1",
            "PIP_RETRIES": "2",
            "PIP_TIMEOUT": "20",
            **{name: value for name, value in self._request.indexes.items() if name.startswith("PIP_")},
            **self._request.proxy_environment(),
        }
        command = [sys.executable, "-I", "-m", "kernelbox.fetcher.pip_program", self._installed, *arguments]
        if run(command, env, self._job, said, deadline=self._deadline, growth=self._growth) != 0:
            with open(log, "rb") as file:
                raise pip_words.failure(file.read(limits.FETCH_LOG_BYTES).decode("utf-8", "replace"))


def _wheel(each: dict[str, Any]) -> tuple[str, str, str]:
    name, version = each["metadata"]["name"], each["metadata"]["version"]
    digest = each.get("download_info", {}).get("archive_info", {}).get("hashes", {}).get("sha256", "")
    # These become a line that pip reads.
    if not _NAME.fullmatch(name) or not _VERSION.fullmatch(version) or not _SHA256.fullmatch(digest or "0" * 64):
        raise FetchError("failed")
    return name, version, digest


def _folded(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _write_metadata(folder: str, name: str, version: str) -> None:
    """As much of an installed package as pip needs to take it for one."""
    info = os.path.join(folder, f"{re.sub('[-_.]+', '_', name)}-{version}.dist-info")
    os.makedirs(info, exist_ok=True)
    with open(os.path.join(info, "METADATA"), "w") as file:
        file.write(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
