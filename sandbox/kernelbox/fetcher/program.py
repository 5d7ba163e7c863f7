"""Runs pip or Deno: until the deadline, and while the folder that it writes into keeps its bound."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable

from .. import limits
from .failure import FetchError
from .folder_size import folder_size

_running: set[int] = set()
_lock = threading.Lock()


def run(command: list[str], env: dict[str, str], job: str, said: str, *, deadline: float, max_bytes: int) -> int:
    """Its exit code. What it says goes into the file `said`."""
    with (
        open(said, "wb") as out,
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=job, env=env, start_new_session=True) as process,
    ):
        with _lock:
            _running.add(process.pid)
        try:
            while True:
                try:
                    return process.wait(limits.FETCH_LOOK_S)
                except subprocess.TimeoutExpired:
                    if time.monotonic() > deadline:
                        raise FetchError("timeout") from None
                    if folder_size(job) > max_bytes:
                        raise FetchError("too_large", max_bytes=max_bytes) from None
        finally:
            with _lock:
                _running.discard(process.pid)
            _kill(process.pid)


def kill_running() -> None:
    with _lock:
        for pid in _running:
            _kill(pid)


def _kill(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def tried_twice[T](attempt: Callable[[], T], forget: Callable[[], None]) -> T:
    """Once more without the cache where nobody knows what was wrong: damage in it must not fail every install from now on."""
    try:
        return attempt()
    except FetchError as error:
        if error.code != "failed":
            raise
    forget()
    return attempt()
