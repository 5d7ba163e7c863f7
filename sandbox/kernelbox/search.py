"""Which files hold a text, and which have a name: by ripgrep, in a process that lives for one search (search_worker.py)."""

import asyncio
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

from . import limits
from .errors import RequestError
from .paths import Paths
from .reaper import Reaper
from .search_output import Found, SearchOutput

Json = dict[str, Any]

_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}
# Each that decides what is searched is said, though some are ripgrep's own choice: what the user's code sets for its ripgrep must not count here.
_OPTIONS = (
    "--no-config",
    "--no-ignore",
    "--no-follow",
    "--no-messages",
    "--null",
    "--color=never",
    "--sort=path",
)
_MATCH_OPTIONS = (
    "--engine=default",
    "--case-sensitive",
    "--heading",
    "--with-filename",
    "--line-number",
    # What was found is told at the deadline too.
    "--line-buffered",
    "--crlf",
    # A file that shrinks while it is mapped would end the search.
    "--no-mmap",
    "--max-columns-preview",
    f"--max-columns={limits.SEARCH_LINE_BYTES}",
    f"--regex-size-limit={limits.SEARCH_REGEX_BYTES}",
    f"--dfa-size-limit={limits.SEARCH_REGEX_BYTES}",
)
# The later glob wins.
_NOT_HIDDEN = "--glob=!.*"
_NAMES_HIDDEN = re.compile(r"(?:^|[/{,])\.[^./]")
_DONE, _NONE_FOUND, _TROUBLE = 0, 1, 2


class Search:
    def __init__(self, loop: asyncio.AbstractEventLoop, reaper: Reaper, paths: Paths) -> None:
        self._loop = loop
        self._reaper = reaper
        self._paths = paths
        self._turns = asyncio.Semaphore(limits.SEARCHES)

    async def search(self, params: Json) -> Json:
        """Lines that match `pattern`, or without one files that match `glob`, in the order of their paths."""
        pattern, glob = _text(params, "pattern"), _text(params, "glob")
        if pattern is None and glob is None:
            raise RequestError("invalid_argument", "a search needs a pattern or a glob")
        program = shutil.which("rg", path=_ENVIRONMENT["PATH"])
        if program is None:
            raise RequestError("unsupported", "the image has no ripgrep")
        path = self._paths.normal(params["path"])
        limit = min(int(params["limit"]), limits.SEARCH_MATCHES)
        try:
            async with asyncio.timeout(limits.SEARCH_TURN_S):
                await self._turns.acquire()
        except TimeoutError:
            raise RequestError("busy", f"{limits.SEARCHES} searches run already") from None
        try:
            # O_NONBLOCK, or opening a FIFO would wait for a writer.
            place = self._paths.open(path, os.O_RDONLY | os.O_NONBLOCK)
            try:
                return await self._search(path, place, [program, *_arguments(place, pattern, glob)], limit, is_names=pattern is None)
            finally:
                os.close(place)
        finally:
            self._turns.release()

    async def _search(self, path: str, place: int, command: list[str], limit: int, *, is_names: bool) -> Json:
        output = SearchOutput(is_names=is_names)
        matches: list[Json] = []
        size = 0
        said = os.memfd_create("said", os.MFD_CLOEXEC)
        try:
            async with _Run(self._loop, self._reaper, place, command, said) as run:

                async def take() -> str | None:
                    nonlocal size
                    async for piece in run.pieces():
                        size += len(piece)
                        for found in output.feed(piece):
                            if len(matches) == limit:
                                return "limit"
                            matches.append(_match(path, found))
                        if size > limits.SEARCH_OUTPUT_BYTES:
                            return "size"
                    return _end(await run.ended, os.pread(said, limits.SEARCH_SAID_BYTES, 0))

                try:
                    async with asyncio.timeout(limits.SEARCH_S):
                        stopped = await take()
                except TimeoutError:
                    stopped = "time"
        finally:
            os.close(said)
        return {"path": path, "matches": matches, "stopped": stopped}


def _end(exit_code: int, said: bytes) -> str | None:
    """Why there may be more. ripgrep speaks only of the pattern or the glob; whatever else was said comes of a worker that failed."""
    if exit_code == _TROUBLE and said:
        details = {"ripgrep": said.decode("utf-8", "replace")[: limits.SEARCH_SAID_CHARACTERS]}
        raise RequestError("invalid_argument", "the pattern or the glob is not valid", details)
    if exit_code == _TROUBLE:
        return "unreadable"
    return None if exit_code in (_DONE, _NONE_FOUND) and not said else "failed"


class _Run:
    """The process, which does not outlive the `async with`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, reaper: Reaper, place: int, command: list[str], said: int) -> None:
        self._loop = loop
        self.ended: asyncio.Future[int] = loop.create_future()
        is_folder = stat.S_ISDIR(os.fstat(place).st_mode)
        self._out, out = os.pipe2(os.O_CLOEXEC)
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-m", "kernelbox.search_worker", str(place) if is_folder else "-", *command],
                stdin=subprocess.DEVNULL if is_folder else place,
                stdout=out,
                stderr=said,
                pass_fds=(place,) if is_folder else (),
                cwd="/",
                env=_ENVIRONMENT,
                start_new_session=True,
            )
        except BaseException:
            os.close(self._out)
            raise
        finally:
            os.close(out)
        # Ours alone: the other end has modes of its own.
        os.set_blocking(self._out, False)
        reaper.expect(self._process.pid, self._end)

    def _end(self, exit_code: int, exit_signal: int) -> None:
        self._process.returncode = -exit_signal or exit_code
        if not self.ended.done():
            self.ended.set_result(self._process.returncode)

    async def __aenter__(self) -> "_Run":
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._process.returncode is None:
            os.kill(self._process.pid, signal.SIGKILL)
        os.close(self._out)

    async def pieces(self) -> AsyncIterator[bytes]:
        while True:
            readable: asyncio.Future[None] = self._loop.create_future()
            self._loop.add_reader(self._out, _resolve, readable)
            try:
                await readable
            finally:
                self._loop.remove_reader(self._out)
            piece = os.read(self._out, limits.SEARCH_PIECE_BYTES)
            if not piece:
                return
            yield piece


def _resolve(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


def _text(params: Json, name: str) -> str | None:
    text = params.get(name)
    if text is None:
        return None
    # UnicodeEncodeError, of half a pair, is a malformed request as well.
    if not isinstance(text, str) or not text or "\0" in text or len(text.encode()) > limits.SEARCH_PATTERN_BYTES:
        raise RequestError("invalid_argument", f"the {name} is not valid")
    return text


def _arguments(place: int, pattern: str | None, glob: str | None) -> list[str]:
    """A pattern and a glob stand in one argument with the option that takes them, so neither can be an option itself."""
    kind = os.fstat(place).st_mode
    arguments = [*_OPTIONS]
    if pattern is not None:
        arguments += [*_MATCH_OPTIONS, f"--regexp={pattern}"]
    else:
        arguments.append("--files")
    if stat.S_ISREG(kind):
        if pattern is None or glob is not None:
            raise RequestError("invalid_argument", "a glob chooses among the files of a folder, and this is a file")
        # By descriptor: its name may be another file's by now.
        return [*arguments, "-"]
    if not stat.S_ISDIR(kind):
        raise RequestError("invalid_argument", "it is neither a file nor a folder")
    if glob is not None:
        arguments.append(f"--glob={glob}")
    if glob is not None and _NAMES_HIDDEN.search(glob) is not None:
        return [*arguments, "--hidden", "./"]
    return [*arguments, _NOT_HIDDEN, "./"]


def _match(path: str, found: Found) -> Json:
    name, line, text = found
    # What is searched as a file has no name there.
    below = name[2:].decode("utf-8", "replace") if name.startswith(b"./") else None
    match: Json = {"path": path if below is None else f"{path}/{below}"}
    if line is not None:
        shown = text.decode("utf-8", "replace")
        match |= {"line": line, "text": shown[: limits.SEARCH_LINE_CHARACTERS], "cut": len(shown) > limits.SEARCH_LINE_CHARACTERS}
    return match
