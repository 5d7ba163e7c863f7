"""npm packages by Deno, which runs none of their scripts: all that the asked ones need, as one tar for a sandbox's DENO_DIR."""

import json
import os
import tarfile
import time
from contextlib import suppress
from typing import Any

from .. import limits
from ..npm_registry import PACKAGE_NAME, PACKAGE_VERSION, only
from . import npm_words
from .cache import Cache
from .failure import FetchError
from .fetched import Fetched
from .folder_size import files_beneath
from .growth import Growth
from .program import run, tried_twice
from .request import Request

DENO = "/opt/py/bin/deno"


def fetch(request: Request, cache: Cache, job: str, deadline: float) -> Fetched:
    if not os.path.exists(DENO):
        raise FetchError("unsupported")
    _forget_old_answers(cache.deno)
    deno = _Deno(request, cache, job, deadline)
    try:
        return tried_twice(deno.fetch, lambda: cache.forget(cache.deno))
    except FetchError as error:
        if error.code == "too_large":
            cache.forget(cache.deno)
        raise


class _Deno:
    def __init__(self, request: Request, cache: Cache, job: str, deadline: float) -> None:
        self._request = request
        self._cache = cache
        self._job = job
        self._deadline = deadline
        # Deno unpacks into its cache, not into the job's folder.
        self._growth = Growth([job, cache.deno], request.max_bytes)

    def fetch(self) -> Fetched:
        specifiers = [f"npm:{package}" for package in self._request.packages]
        self._run(["cache", "--no-config", "--no-lock", "--node-modules-dir=none", *specifiers])
        folders: dict[tuple[str, str], str] = {}
        for specifier in specifiers:
            folders |= self._closure(specifier)
        if len(folders) > limits.INSTALL_WHEELS:
            raise FetchError("too_many", count=len(folders), max_count=limits.INSTALL_WHEELS)
        path = os.path.join(self._job, "packages.tar")
        _pack(path, folders, self._request.max_bytes)
        return Fetched(sorted(folders), [path])

    def _closure(self, specifier: str) -> dict[tuple[str, str], str]:
        """What it needs, itself among it, with the folder of each."""
        said = self._run(["info", "--json", "--no-config", "--no-lock", "--node-modules-dir=none", specifier])
        try:
            told = json.loads(said[said.index("{") :])
            packages: list[dict[str, Any]] = list(told["npmPackages"].values())
            if any("error" in module for module in told["modules"]) or not packages:
                raise FetchError("failed")
            return {(str(each["name"]), str(each["version"])): self._folder(each) for each in packages}
        except (ValueError, KeyError, AttributeError):
            raise FetchError("failed") from None

    def _folder(self, package: dict[str, Any]) -> str:
        folder = str(package["localPath"])
        is_named = PACKAGE_NAME.fullmatch(package["name"]) and PACKAGE_VERSION.fullmatch(package["version"])
        if not is_named or not os.path.realpath(folder).startswith(os.path.realpath(self._cache.deno) + "/") or not os.path.isdir(folder):
            raise FetchError("failed")
        return folder

    def _run(self, arguments: list[str]) -> str:
        said = os.path.join(self._job, "said")
        env = {
            "HOME": "/tmp",
            "PATH": "/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "DENO_DIR": self._cache.deno,
            # Authorities that the image was made to trust, as well.
            "DENO_TLS_CA_STORE": "system,mozilla",
            "DENO_NO_UPDATE_CHECK": "1",
            "DENO_NO_PROMPT": "1",
            "NO_COLOR": "1",
            **{name: value for name, value in self._request.indexes.items() if name.startswith("NPM_")},
            **self._request.proxy_environment(),
        }
        exit_code = run([DENO, *arguments], env, self._job, said, deadline=self._deadline, growth=self._growth)
        with open(said, "rb") as file:
            text = file.read(limits.FETCH_REPORT_BYTES).decode("utf-8", "replace")
        if exit_code != 0:
            raise npm_words.failure(text)
        return text


def _forget_old_answers(folder: str) -> None:
    """Deno keeps what the registry has said for good; a version that came since would never be found."""
    now = time.time()
    for path, _, _ in files_beneath(os.path.join(folder, "npm")):
        # Another fetch may have removed it first.
        with suppress(FileNotFoundError):
            if os.path.basename(path) == "registry.json" and now - os.lstat(path).st_mtime > limits.FETCH_ANSWER_S:
                os.unlink(path)


def _pack(path: str, folders: dict[tuple[str, str], str], max_bytes: int) -> None:
    """`name/version/…` of each package, and `name/registry.json` with those versions alone, so that a sandbox finds what it has."""
    size = 0
    versions: dict[str, tuple[str, set[str]]] = {}
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for (name, version), folder in sorted(folders.items()):
            versions.setdefault(name, (os.path.dirname(folder), set()))[1].add(version)
            for file, length, _ in sorted(files_beneath(folder)):
                size += length
                if size > max_bytes:
                    raise FetchError("too_large", max_bytes=max_bytes)
                inside = f"{name}/{version}/{os.path.relpath(file, folder)}"
                if os.path.isfile(file) and not os.path.islink(file):
                    _add(tar, inside, file)
        for name, (folder, wanted) in versions.items():
            try:
                with open(os.path.join(folder, "registry.json"), "rb") as answer:
                    told = only(json.load(answer), wanted)
            except (OSError, ValueError, KeyError, TypeError):
                raise FetchError("failed") from None
            trimmed = os.path.join(os.path.dirname(path), "registry.json")
            with open(trimmed, "w") as out:
                json.dump(told, out)
            _add(tar, f"{name}/registry.json", trimmed)


def _add(tar: tarfile.TarFile, name: str, path: str) -> None:
    with open(path, "rb") as file:
        info = tarfile.TarInfo(name)
        status = os.fstat(file.fileno())
        info.size, info.mode = status.st_size, 0o755 if status.st_mode & 0o100 else 0o644
        tar.addfile(info, file)
