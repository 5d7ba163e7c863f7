"""Pictures made to fit what a host takes, by a worker process (picture_worker.py)."""

import asyncio
import os
import signal
import subprocess
import sys
from typing import Any

from . import limits
from .errors import RequestError
from .reaper import Reaper
from .transfer import Transfer

Json = dict[str, Any]

_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}


class Pictures:
    def __init__(self, loop: asyncio.AbstractEventLoop, reaper: Reaper) -> None:
        self._loop = loop
        self._reaper = reaper
        # One at a time: each may take much of the sandbox's memory.
        self._turn = asyncio.Semaphore(1)

    async def fit(self, params: Json, transfer: Transfer) -> Json:
        """Takes a picture, sends one of at most so many pixels a side and so many bytes."""
        pixels, size = int(params["pixels"]), min(int(params["bytes"]), limits.ATTACHMENT_BYTES)
        picture = os.memfd_create("picture", os.MFD_CLOEXEC)
        fitted = os.memfd_create("fitted", os.MFD_CLOEXEC)
        try:
            received = 0
            while (piece := await transfer.receive()) is not None:
                received += len(piece)
                if received > limits.ATTACHMENT_BYTES:
                    raise RequestError("too_large", f"a picture of more than {limits.ATTACHMENT_BYTES} bytes")
                os.write(picture, piece)
            os.lseek(picture, 0, os.SEEK_SET)
            async with self._turn:
                exit_code = await self._work(pixels, size, picture, fitted)
            found = os.fstat(fitted).st_size
            if exit_code != 0 or not 0 < found <= size:
                raise RequestError("unsupported", "the picture cannot be made to fit")
            position = 0

            def read(piece: int) -> bytes:
                nonlocal position
                # Code of the same uid may have made the file longer since.
                data = os.pread(fitted, min(piece, found - position), position)
                position += len(data)
                return data

            return {"sent_bytes": await transfer.send_from(read)}
        finally:
            os.close(picture)
            os.close(fitted)

    async def _work(self, pixels: int, size: int, picture: int, fitted: int) -> int:
        process = _start_worker(pixels, size, picture, fitted)
        ended: asyncio.Future[int] = self._loop.create_future()

        def end(exit_code: int, exit_signal: int) -> None:
            process.returncode = -exit_signal or exit_code
            if not ended.done():
                ended.set_result(process.returncode)

        self._reaper.expect(process.pid, end)
        try:
            async with asyncio.timeout(limits.PICTURE_S):
                return await asyncio.shield(ended)
        except TimeoutError:
            raise RequestError("deadline_exceeded", "the picture took too long") from None
        finally:
            if not ended.done():
                os.kill(process.pid, signal.SIGKILL)


def _start_worker(pixels: int, size: int, picture: int, fitted: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-I", "-m", "kernelbox.picture_worker", str(pixels), str(size)],
        stdin=picture,
        stdout=fitted,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env=_ENVIRONMENT,
        start_new_session=True,
    )
