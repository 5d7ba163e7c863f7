"""npm packages where Deno looks for them: a folder for each version, and what the registry says of those that are there."""

import json
import os
import secrets
import shutil
import stat
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from .. import limits
from ..npm_registry import PACKAGE_NAME, PACKAGE_VERSION, joined, only
from .failure import InstallError
from .places import Places

_FILE_BYTES = 4_096
_ANSWER = "registry.json"


def present(packages: list[str], places: Places) -> list[tuple[str, str] | None]:
    """Name and version of each package that a context can import as it is asked for, without a network."""
    if not os.path.exists(places.deno):
        raise InstallError("unsupported", "the image has no Deno")
    return [_present(package, places) for package in packages]


def _present(package: str, places: Places) -> tuple[str, str] | None:
    name = package if "@" not in package[1:] else package[: package.index("@", 1)]
    if not os.path.exists(os.path.join(places.npm, name, _ANSWER)):
        return None
    told = _info(f"npm:{package}", places)
    try:
        packages: dict[str, Any] = told["npmPackages"]
        if not packages or not all(_is_there(each["name"], each["version"], places) for each in packages.values()):
            return None
        for each in packages.values():
            if each["name"] == name:
                return name, str(each["version"])
    except (KeyError, TypeError, AttributeError):
        pass
    return None


def _is_there(name: str, version: str, places: Places) -> bool:
    return os.path.isdir(os.path.join(places.npm, name, version))


def _info(specifier: str, places: Places) -> Any:
    """What Deno makes of it. It runs nothing, and without a proxy it reaches nothing."""
    command = [places.deno, "info", "--json", "--no-config", "--no-lock", "--node-modules-dir=none", specifier]
    env = {"PATH": "/usr/bin:/bin", "HOME": "/tmp", "DENO_DIR": places.deno_dir, "DENO_NO_UPDATE_CHECK": "1", "NO_COLOR": "1"}
    env["NPM_CONFIG_REGISTRY"] = f"https://{places.registry}"
    try:
        ended = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=limits.INSTALL_DENO_S, cwd="/", check=False)
        return json.loads(ended.stdout)
    except (subprocess.TimeoutExpired, ValueError, OSError):
        return {}


def install_packages(path: str, staging: str, places: Places) -> list[tuple[str, str]]:
    """Unpacks the tar: first aside, then each version gets its name, and last the registry's words about it."""
    unpacked = os.path.join(staging, "npm")
    _unpack(path, unpacked)
    os.makedirs(places.npm, exist_ok=True)
    moved: list[str] = []
    installed = []
    try:
        for name, folder, versions in _unpacked(unpacked):
            for version in versions:
                target = os.path.join(places.npm, name, version)
                if os.path.isdir(target):
                    continue
                os.makedirs(os.path.dirname(target), exist_ok=True)
                os.rename(os.path.join(folder, version), target)
                moved.append(target)
                installed.append((name, version))
            _join_answer(os.path.join(folder, _ANSWER), os.path.join(places.npm, name), set(versions))
    except BaseException:
        for target in moved:
            shutil.rmtree(target, ignore_errors=True)
        raise
    return installed


def _unpack(path: str, target: str) -> None:
    try:
        with tarfile.open(path) as tar:
            members = []
            size = 0
            for member in tar:
                size += member.size + _FILE_BYTES
                members.append(member)
                if not member.isreg() or len(members) > limits.INSTALL_ENTRIES or size > limits.INSTALL_BYTES:
                    raise InstallError("too_large", "more files or bytes than are taken")
            status = os.statvfs(os.path.dirname(target))
            if size > status.f_bavail * status.f_frsize or (status.f_favail and len(members) > status.f_favail):
                raise InstallError("limit_exceeded", "no room", needed_bytes=size, free_bytes=status.f_bavail * status.f_frsize)
            # Neither links nor names that lead elsewhere.
            tar.extractall(target, members=members, filter="data")
    except (tarfile.TarError, ValueError, EOFError) as error:
        raise InstallError("unsupported", "the packages cannot be unpacked") from error


def _unpacked(folder: str) -> Iterator[tuple[str, str, list[str]]]:
    """Each package's name, folder and versions."""
    for first in sorted(os.listdir(folder)):
        names = [f"{first}/{second}" for second in sorted(os.listdir(os.path.join(folder, first)))] if first.startswith("@") else [first]
        for name in names:
            place = os.path.join(folder, name)
            versions = sorted(entry for entry in os.listdir(place) if entry != _ANSWER)
            if not PACKAGE_NAME.fullmatch(name) or not all(PACKAGE_VERSION.fullmatch(version) for version in versions):
                raise InstallError("unsupported", "the packages cannot be unpacked")
            yield name, place, versions


def _join_answer(new: str, folder: str, versions: set[str]) -> None:
    """Deno may read it at any moment, so it is replaced as a whole. What it names and is not there is left out: Deno would choose it."""
    answer = only(_answer(new), versions)
    target = os.path.join(folder, _ANSWER)
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        known = _answer(target)
        there = {version for version in known["versions"] if os.path.isdir(os.path.join(folder, version))}
        answer = joined(only(known, there), answer)
    with _replacing(target) as out:
        json.dump(answer, out)


def _answer(path: str) -> dict[str, Any]:
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_size > limits.REGISTRY_BYTES:
            raise ValueError("not what the registry says")
        answer: dict[str, Any] = json.load(file)
        return answer


@contextmanager
def _replacing(target: str) -> Iterator[Any]:
    part = f"{target}.{secrets.token_hex(8)}"
    try:
        with open(part, "x") as out:
            yield out
        os.replace(part, target)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(part)
        raise
