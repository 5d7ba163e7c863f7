"""One fetch: a line of JSON on stdin, a line of JSON on stdout, and behind it the files' bytes. Whoever asks ends it by closing stdin.

The cache is in a volume, or in the folder that is named as an argument.
"""

import json
import os
import sys
import threading
import time
from typing import Any, BinaryIO

from .. import limits
from . import npm_fetch, pip_fetch
from .cache import Cache
from .failure import FetchError
from .program import kill_running
from .request import Request

CACHE = "/var/cache/kernelbox"


def main(folder: str = CACHE) -> None:
    told = sys.stdout.buffer
    line = _first_line()
    cache = Cache(folder)
    threading.Thread(target=_end_with_stdin, args=(cache,), daemon=True).start()
    try:
        _answer(Request.parse(line), cache, told)
    except FetchError as error:
        _tell(told, {"error": error.as_json()})
    except OSError as error:
        code = "disk_full" if error.errno in limits.DISK_FULL else "failed"
        _tell(told, {"error": {"code": code}})
    told.flush()
    # Without a wait for the thread.
    os._exit(0)


def _answer(request: Request, cache: Cache, told: BinaryIO) -> None:
    deadline = time.monotonic() + request.timeout_s
    with cache.used(), cache.job() as job:
        cache.shrink(request.cache_bytes)
        fetched = (pip_fetch if request.manager == "pip" else npm_fetch).fetch(request, cache, job, deadline)
        sizes = [os.path.getsize(path) for path in fetched.paths]
        if sum(sizes) > request.max_bytes:
            raise FetchError("too_large", max_bytes=request.max_bytes)
        packages = [{"name": name, "version": version} for name, version in fetched.packages]
        _tell(told, {"packages": packages, "files": [{"size": size} for size in sizes]})
        for path in fetched.paths:
            with open(path, "rb") as file:
                while piece := file.read(limits.READ_BYTES):
                    told.write(piece)
        told.flush()


def _tell(told: BinaryIO, reply: dict[str, Any]) -> None:
    told.write(json.dumps(reply).encode() + b"\n")
    told.flush()


def _first_line() -> bytes:
    line = b""
    while not line.endswith(b"\n") and len(line) < limits.FETCH_REQUEST_BYTES:
        piece = os.read(0, limits.READ_BYTES)
        if not piece:
            break
        line += piece
    return line


def _end_with_stdin(cache: Cache) -> None:
    while os.read(0, 1):
        pass
    kill_running()
    cache.drop_job()
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:2])
