"""Packages for the user: which of the asked ones are there, and fetched ones installed, by a worker process (installing/worker.py)."""

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from typing import Any

from . import limits
from .environment import HAS_NETWORK
from .errors import RequestError
from .installing.places import Places
from .paths import Paths
from .reaper import Reaper
from .transfer import Transfer

Json = dict[str, Any]

_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}

_HOST = re.compile(r"[a-z0-9][a-z0-9.-]{0,252}")


def _registry(params: Json) -> str:
    """It becomes the name of a folder."""
    registry = str(params["registry"])
    if not _HOST.fullmatch(registry):
        raise RequestError("invalid_argument", "the registry is no host")
    return registry


class Install:
    def __init__(self, loop: asyncio.AbstractEventLoop, reaper: Reaper, paths: Paths) -> None:
        self._loop = loop
        self._reaper = reaper
        self._paths = paths
        # What two write at once could be neither's.
        self._turn = asyncio.Semaphore(1)
        # A kernel has it on its path only if it is there when the kernel starts. Where no packages can come, a workspace begins empty.
        if HAS_NETWORK:
            with suppress(OSError, RequestError):
                paths.make_directories(Places().site)

    async def look(self, params: Json) -> Json:
        packages = [str(package) for package in params["packages"]]
        request = {"method": "look", "manager": params["manager"], "registry": _registry(params), "packages": packages}
        return await self._work(request, limits.INSTALL_LOOK_S)

    async def install(self, params: Json, transfer: Transfer) -> Json:
        """Takes the files' bytes one after another. They are staged under names of ours, and removed whatever happens."""
        sizes = [int(size) for size in params["sizes"]]
        packages = [{"name": str(each["name"]), "version": str(each["version"])} for each in params["packages"]]
        if len(sizes) > limits.INSTALL_WHEELS or len(packages) > limits.INSTALL_WHEELS or min(sizes, default=0) < 0:
            raise RequestError("invalid_argument", "the files are not valid")
        base = Places().base
        self._paths.make_directories(base)
        async with self._turn:
            staging = tempfile.mkdtemp(prefix=".kernelbox-install-", dir=base)
            try:
                registry = _registry(params)
                status = os.statvfs(staging)
                if sum(sizes) > status.f_bavail * status.f_frsize:
                    free = status.f_bavail * status.f_frsize
                    raise RequestError("limit_exceeded", "no room", {"needed_bytes": sum(sizes), "free_bytes": free})
                files = await _received(staging, sizes, transfer)
                request = {"method": "install", "manager": params["manager"], "registry": registry, "packages": packages}
                request |= {"files": files, "staging": staging}
                return await self._work(request, float(params.get("timeout_s") or limits.INSTALL_S))
            finally:
                shutil.rmtree(staging, ignore_errors=True)

    async def _work(self, request: Json, deadline_s: float) -> Json:
        asked = os.memfd_create("request", os.MFD_CLOEXEC)
        told = os.memfd_create("answer", os.MFD_CLOEXEC)
        try:
            _write(asked, json.dumps(request).encode())
            exit_code = await self._run(asked, told, min(deadline_s, limits.INSTALL_S))
            if exit_code != 0 or os.fstat(told).st_size > limits.INSTALL_REPLY_BYTES:
                raise RequestError("internal", "the worker failed", {"exit_code": exit_code})
            answer: Json = json.loads(os.pread(told, limits.INSTALL_REPLY_BYTES, 0))
        except ValueError:
            raise RequestError("internal", "the worker's answer is not valid") from None
        finally:
            os.close(asked)
            os.close(told)
        if "error" in answer:
            error = answer["error"]
            raise RequestError(str(error["code"]), str(error["message"]), dict(error["details"]))
        return answer

    async def _run(self, asked: int, told: int, deadline_s: float) -> int:
        process = _start_worker(asked, told)
        ended: asyncio.Future[int] = self._loop.create_future()

        def end(exit_code: int, exit_signal: int) -> None:
            process.returncode = -exit_signal or exit_code
            if not ended.done():
                ended.set_result(process.returncode)

        self._reaper.expect(process.pid, end)
        try:
            async with asyncio.timeout(deadline_s):
                return await asyncio.shield(ended)
        except TimeoutError:
            raise RequestError("deadline_exceeded", "it took too long") from None
        finally:
            if not ended.done():
                # Asked first, and waited for: it takes back what it has written of a package, out of the staging folder.
                os.killpg(process.pid, signal.SIGTERM)
                await asyncio.wait({ended}, timeout=limits.INSTALL_GRACE_S)
            if not ended.done():
                os.killpg(process.pid, signal.SIGKILL)


def _start_worker(asked: int, told: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-I", "-m", "kernelbox.installing.worker"],
        stdin=asked,
        stdout=told,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env=_ENVIRONMENT,
        start_new_session=True,
    )


def _write(fd: int, request: bytes) -> None:
    with open(fd, "wb", closefd=False) as file:
        file.write(request)
    os.lseek(fd, 0, os.SEEK_SET)


async def _received(staging: str, sizes: list[int], transfer: Transfer) -> list[str]:
    paths: list[str] = []
    rest = b""
    for number, size in enumerate(sizes):
        path = os.path.join(staging, str(number))
        with open(path, "xb") as file:  # noqa: ASYNC230  it is memory
            while size > 0:
                piece = rest or await transfer.receive()
                if piece is None:
                    raise RequestError("invalid_argument", "fewer bytes than were announced")
                file.write(piece[:size])
                rest = piece[size:]
                size -= min(size, len(piece))
        paths.append(path)
    return paths
