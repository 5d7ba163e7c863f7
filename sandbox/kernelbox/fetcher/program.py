"""Runs pip or Deno: until the deadline, and while the folders that it writes into keep their bound."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import BinaryIO

from .. import limits
from .failure import FetchError
from .growth import Growth

_running: set[int] = set()
_stopping = threading.Event()
_lock = threading.Lock()


def run(command: list[str], env: dict[str, str], job: str, said: str, *, deadline: float, growth: Growth) -> int:
    """Its exit code. What it says goes into the file `said`."""
    with (
        open(said, "wb") as out,
        _started(command, env, job, out) as process,
    ):
        try:
            exit_code, pause = None, limits.FETCH_LOOK_S
            while exit_code is None:
                with suppress(subprocess.TimeoutExpired):
                    exit_code = process.wait(pause)
                if exit_code is None and time.monotonic() > deadline:
                    raise FetchError("timeout")
                started = time.monotonic()
                growth.check()
                # Looking through many files takes a while itself, and should not be most of what is done.
                pause = max(limits.FETCH_LOOK_S, 3 * (time.monotonic() - started))
            if _stopping.is_set():
                raise _stopped()
            return exit_code
        finally:
            with _lock:
                _running.discard(process.pid)
            _kill(process.pid)


def _started(command: list[str], env: dict[str, str], job: str, out: BinaryIO) -> subprocess.Popen[bytes]:
    with _lock:
        if _stopping.is_set():
            raise _stopped()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=job, env=env, start_new_session=True)
        _running.add(process.pid)
        return process


def _stopped() -> FetchError:
    """Nobody waits for it any more; it must not be taken for a failure that may be the cache's fault."""
    return FetchError("stopped")


def kill_running() -> None:
    """For good: nothing more is started."""
    with _lock:
        _stopping.set()
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
