"""Commands by their ids, and a look at everything that runs."""

import asyncio
import os
import signal
from typing import Any

from . import limits
from .environment import ENVIRONMENT, requested
from .errors import RequestError, from_os_error
from .paths import HOME, Paths
from .process import Process
from .reaper import Reaper
from .transfer import Transfer

Json = dict[str, Any]

# A command is no kernel: its figures go into files.
_ENVIRONMENT = {name: value for name, value in ENVIRONMENT.items() if name != "MPLBACKEND"}


class Processes:
    def __init__(self, loop: asyncio.AbstractEventLoop, reaper: Reaper, paths: Paths) -> None:
        self._loop = loop
        self._reaper = reaper
        self._paths = paths
        self._processes: dict[str, Process] = {}

    async def start(self, params: Json) -> Json:
        process_id = params["process_id"]
        known = self._processes.get(process_id)
        if known is not None:
            # Asked again, by a server whose first answer was lost.
            return known.describe()
        argv = _arguments(params)
        timeout_s = params.get("timeout_s")
        if timeout_s is not None and not 0 < float(timeout_s) <= limits.TIMEOUT_S_MAX:
            raise RequestError("invalid_argument", "the timeout is not valid")
        env = {**_ENVIRONMENT, **requested(params)}
        size = _size(params.get("terminal"))
        self._forget_old()
        if sum(process.is_kept for process in self._processes.values()) >= limits.PROCESSES:
            raise RequestError("limit_exceeded", f"there are {limits.PROCESSES} processes already", {"processes": limits.PROCESSES})
        folder = self._folder(params.get("cwd") or HOME)
        process = Process(process_id, self._loop, self._reaper, None if timeout_s is None else float(timeout_s))
        self._processes[process_id] = process
        try:
            await process.start(argv, env, folder, has_input=params.get("has_input") is True, size=size)
        except RequestError as error:
            self._processes.pop(process_id, None)
            raise RequestError(error.code, error.message, {**(error.details or {}), "part": "command"}) from None
        except BaseException:
            self._processes.pop(process_id, None)
            self._loop.create_task(process.kill(signal.SIGKILL, 0, "cancel"))
            raise
        return process.describe()

    async def follow(self, params: Json, transfer: Transfer) -> Json:
        offsets = {name: int(params.get(name) or 0) for name in ("stdout", "stderr")}
        wait_s = min(float(params.get("wait_s") or 0), limits.PROCESS_WAIT_S)
        return await self._process(params).follow(offsets, wait_s, transfer, until_end=params.get("until_end") is True)

    async def write(self, params: Json, transfer: Transfer) -> Json:
        return await self._process(params).write(transfer, close=params.get("close") is True, size=_size(params.get("terminal")))

    async def kill(self, params: Json) -> Json:
        process = self._process(params)
        number = _signal(params.get("signal") or "TERM")
        grace_s = min(max(0.0, float(params.get("grace_s") or 0)), limits.KILL_GRACE_S_MAX)
        await process.kill(number, grace_s, str(params.get("why") or "kill_process"))
        return process.describe()

    async def get(self, params: Json) -> Json:
        process = self._process(params)
        return {**process.describe(), "usage": await process.usage()}

    def forget(self, params: Json) -> Json:
        """The server has all of it."""
        process = self._processes.get(params["process_id"])
        if process is not None and process.is_said:
            del self._processes[process.process_id]
        return {}

    def members(self) -> dict[int, str]:
        """Whose each process is that belongs to a command."""
        return {pid: process.process_id for process in self._processes.values() for pid in process.members()}

    def keepers(self) -> set[int]:
        return {process.keeper_pid for process in self._processes.values() if process.is_kept}

    def _process(self, params: Json) -> Process:
        process = self._processes.get(params["process_id"])
        if process is None:
            raise RequestError("not_found", "there is no such process")
        return process

    def _folder(self, cwd: str) -> int:
        try:
            return self._paths.open(self._paths.normal(cwd), os.O_RDONLY | os.O_DIRECTORY)
        except (OSError, RequestError) as error:
            refusal = from_os_error(error) if isinstance(error, OSError) else error
            raise RequestError(refusal.code, refusal.message, {**(refusal.details or {}), "part": "cwd"}) from None

    def _forget_old(self) -> None:
        """Those that ended are kept for a server that was away: so many, and so long."""
        said = [process for process in self._processes.values() if process.is_said]
        for at, process in enumerate(said):
            if len(said) - at > limits.ENDED_PROCESSES or self._loop.time() - process.ended > limits.ENDED_PROCESS_S:
                del self._processes[process.process_id]


def _arguments(params: Json) -> list[str]:
    argv = params["argv"]
    if not isinstance(argv, list) or not argv or not all(isinstance(part, str) for part in argv):
        raise RequestError("invalid_argument", "the command is not a list of texts")
    if len(argv) > limits.ARGUMENTS or sum(map(len, argv)) > limits.ARGUMENTS_BYTES:
        raise RequestError("too_large", "the command is too long")
    try:
        "".join(argv).encode()
    except UnicodeEncodeError:
        raise RequestError("invalid_argument", "the command is not Unicode text") from None
    if any("\0" in part for part in argv):
        raise RequestError("invalid_argument", "the command has a NUL character")
    return argv


def _size(terminal: Any) -> tuple[int, int] | None:
    if terminal is None:
        return None
    rows, columns = int(terminal["rows"]), int(terminal["columns"])
    if not (1 <= rows <= 1_000 and 1 <= columns <= 1_000):
        raise RequestError("invalid_argument", "a terminal has 1 to 1000 rows and columns")
    return rows, columns


def _signal(name: str) -> int:
    try:
        return signal.Signals[f"SIG{name.removeprefix('SIG')}"].value
    except KeyError:
        raise RequestError("invalid_argument", "there is no such signal", {"part": "signal"}) from None
