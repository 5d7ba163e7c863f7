"""One command that runs, or has ended, and what it said."""

import asyncio
import fcntl
import os
import signal
import struct
import termios
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from . import changed_files, keeper, limits, usage
from .changed_files import Snapshot
from .death import memory_kills
from .errors import RequestError, from_os_error
from .event_log import now
from .family import family, signal_all
from .output_log import OutputLog
from .paths import HOME
from .pipe_end import PipeEnd
from .process_input import ProcessInput
from .process_usage import processes_usage
from .reaper import Reaper
from .transfer import Transfer

Json = dict[str, Any]

# A record of what is followed: which stream, the offset of its bytes, how many they are.
_RECORD = struct.Struct("!BQI")
_STREAMS = {"stdout": 1, "stderr": 2}


class Process:
    """The command, and whatever it leaves behind: that belongs to it for as long as anything of it runs."""

    def __init__(self, process_id: str, loop: asyncio.AbstractEventLoop, reaper: Reaper, timeout_s: float | None) -> None:
        self.process_id = process_id
        self.pid = 0
        self.keeper_pid = 0
        self.exit_code: int | None = None
        self.exit_signal: int | None = None
        self.is_running = False
        self.is_kept = False
        self._loop = loop
        self._reaper = reaper
        self._timeout_s = timeout_s
        self._stopping: str | None = None
        self._reason: str | None = None
        self._started = 0.0
        self.ended = 0.0
        self._started_at = self._ended_at = self._stops_at = ""
        self._begun: asyncio.Future[None] = loop.create_future()
        self._changed = asyncio.Event()
        self._over = asyncio.Event()
        self._ends = dict.fromkeys(_STREAMS, 0)
        self._logs = {name: OutputLog(self._resume) for name in _STREAMS}
        self._pipes: dict[str, PipeEnd] = {}
        self._input: ProcessInput | None = None
        self._terminal = -1
        self._timer: asyncio.TimerHandle | None = None
        self._files_before: Snapshot | None = None
        self._files: list[Json] = []
        self._notices: list[str] = []
        self._refused_processes = usage.refused_processes()

    # Its beginning.

    async def start(self, argv: list[str], env: dict[str, str], folder: int, *, has_input: bool, size: tuple[int, int] | None) -> None:
        """Takes the descriptor of the folder. Raises RequestError where it does not begin."""
        ends: list[int] = [folder]
        try:
            stdin, stdout, stderr = self._terminal_ends(size, ends) if size is not None else self._pipe_ends(has_input, ends)
            command = keeper.Command(argv, env, folder, stdin, stdout, stderr, size is not None)
            self._files_before = changed_files.look(HOME)
            self.keeper_pid, words = keeper.start(command)
        except OSError as error:
            self.close()
            raise from_os_error(error) from None
        finally:
            for end in ends:
                os.close(end)
        self.is_kept = True
        self._listen(words)
        self._reaper.expect(self.keeper_pid, lambda _code, _signal: self._keeper_ended(words))
        try:
            await asyncio.wait_for(asyncio.shield(self._begun), limits.PROCESS_START_S)
        except TimeoutError:
            await self._kill_tree()
            self.close()
            raise RequestError("busy", "the command did not begin in time") from None
        except RequestError:
            self.close()
            raise

    def _pipe_ends(self, has_input: bool, ends: list[int]) -> tuple[int, int, int]:
        if has_input:
            stdin, input_end = os.pipe()
            self._input = ProcessInput(self._loop, input_end)
        else:
            stdin = os.open(os.devnull, os.O_RDONLY)
        ends.append(stdin)
        for name in _STREAMS:
            read_end, write_end = os.pipe()
            ends.append(write_end)
            self._pipes[name] = PipeEnd(read_end)
        return stdin, ends[-2], ends[-1]

    def _terminal_ends(self, size: tuple[int, int], ends: list[int]) -> tuple[int, int, int]:
        terminal, end = os.openpty()
        ends.append(end)
        self._terminal = terminal
        self._pipes["stdout"] = PipeEnd(terminal)
        self._input = ProcessInput(self._loop, os.dup(terminal))
        self._logs["stderr"].append(b"")
        self.resize(*size)
        return end, end, end

    def _listen(self, words: int) -> None:
        os.set_blocking(words, False)
        self._loop.add_reader(words, self._hear, words)
        for name, pipe in self._pipes.items():
            pipe.listen(self._loop, partial(self._take, name))

    def _hear(self, words: int) -> None:
        """What the keeper says."""
        while True:
            try:
                said = os.read(words, keeper.WORD.size)
            except OSError:
                return
            if len(said) < keeper.WORD.size:
                self._loop.remove_reader(words)
                return
            kind, first, second = keeper.WORD.unpack(said)
            if kind == keeper.STARTED:
                self._start(first)
            elif kind == keeper.REFUSED and not self._begun.done():
                self._begun.set_exception(from_os_error(OSError(first, "")))
            elif kind == keeper.ENDED:
                self._end(first, second)

    def _start(self, pid: int) -> None:
        self.pid = pid
        self.is_running = True
        self._started = time.monotonic()
        self._started_at = now()
        if self._timeout_s is not None:
            self._stops_at = _instant(self._timeout_s)
            self._timer = self._loop.call_later(self._timeout_s, self._time_out)
        if not self._begun.done():
            self._begun.set_result(None)

    # Its end.

    def _end(self, exit_code: int, exit_signal: int) -> None:
        """The command has ended; what it has left behind may run on."""
        if not self.is_running:
            return
        for pipe in self._pipes.values():
            pipe.drain()
        self._ends = {name: log.end for name, log in self._logs.items()}
        self.is_running = False
        self.ended = time.monotonic()
        self._ended_at = now()
        if self._timer is not None:
            self._timer.cancel()
        self.exit_code, self.exit_signal = (None, exit_signal) if exit_signal else (exit_code, None)
        self._reason = self._why(exit_code, exit_signal)
        self._report_files()
        self._changed.set()

    def _why(self, exit_code: int, exit_signal: int) -> str | None:
        # A shell tells of a child that was killed by a code of its own.
        is_killed = exit_signal == signal.SIGKILL or exit_code == 128 + signal.SIGKILL
        if is_killed and self._stopping is None and memory_kills.take():
            return "out_of_memory"
        if self._stopping is not None:
            return self._stopping
        if exit_signal in (signal.SIGXFSZ, signal.SIGXCPU):
            return "limit_exceeded"
        if (exit_code or exit_signal) and (usage.refused_processes() > self._refused_processes or usage.is_full(HOME) or usage.is_full("/tmp")):
            return "limit_exceeded"
        return "signal" if exit_signal else None

    def _report_files(self) -> None:
        before, self._files_before = self._files_before, None
        after = changed_files.look(HOME)
        if before is None or not (before.is_complete and after.is_complete):
            self._notices.append("The workspace has too many files to tell which of them changed.")
            return
        self._files, more = changed_files.changes(before, after)
        if more:
            self._notices.append(f"{more} more changed files are not told one by one; use list_directory.")

    def _keeper_ended(self, words: int) -> None:
        """Nothing of it runs any more, or its keeper was killed, and then the rest goes too."""
        self._hear(words)
        with suppress(ValueError, OSError):
            self._loop.remove_reader(words)
            os.close(words)
        self.is_kept = False
        if not self._begun.done():
            self._begun.set_exception(RequestError("internal", "the command was killed before it began"))
        if self.is_running:
            signal_all(family(self.pid), signal.SIGKILL)
            self._stopping = self._stopping or "signal"
            self._end(0, signal.SIGKILL)
        for name, pipe in self._pipes.items():
            pipe.drain()
            if pipe.is_open:
                pipe.close()
                self._take(name, b"")
        if self._input is not None:
            self._input.close()
        self._over.set()
        self._changed.set()

    def _time_out(self) -> None:
        self._stopping = self._stopping or "timeout"
        self._loop.create_task(self._stop(signal.SIGTERM, limits.INTERRUPT_GRACE_S))

    async def kill(self, number: int, grace_s: float, why: str) -> None:
        """Sends the signal to the whole tree, and kills what is still there after the grace. Other signals than deadly ones are only sent."""
        if self.is_running and number in _ENDING:
            self._stopping = self._stopping or why
        if number in _ENDING:
            await self._stop(number, grace_s)
        else:
            signal_all(self.members(), number)

    async def _stop(self, number: int, grace_s: float) -> None:
        members = self.members()
        signal_all(members, number)
        # What is stopped would not notice, and code can stop the keeper too.
        signal_all([*members, self.keeper_pid] if self.is_kept else members, signal.SIGCONT)
        if number != signal.SIGKILL:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._over.wait(), grace_s)
        await self._kill_tree()

    async def _kill_tree(self) -> None:
        """Holds all of the tree still before it kills it, or a bomb of forks could outrun it."""
        for _ in range(limits.PROCESS_KILL_TRIES):
            held: set[int] = set()
            while True:
                members = set(self.members())
                if members <= held:
                    break
                signal_all(list(members - held), signal.SIGSTOP)
                held |= members
                await asyncio.sleep(0)
            signal_all(list(members), signal.SIGKILL)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._over.wait(), limits.PROCESS_KILL_S)
            if self._over.is_set():
                return

    def members(self) -> list[int]:
        """All that runs of it, without its keeper."""
        if self.is_kept:
            return [pid for pid in family(self.keeper_pid) if pid != self.keeper_pid]
        return []

    # What requests ask for.

    async def follow(self, offsets: dict[str, int], wait_s: float, transfer: Transfer, *, until_end: bool) -> Json:
        """Sends what there is behind those offsets, and what comes until all is said or the time is up, or until the command has ended."""
        deadline = self._loop.time() + wait_s
        while True:
            self._changed.clear()
            has_sent = False
            for name, log in self._logs.items():
                start, piece = log.read(offsets[name], limits.SEND_BYTES)
                if piece:
                    await transfer.send(_RECORD.pack(_STREAMS[name], start, len(piece)) + piece)
                    offsets[name] = start + len(piece)
                    has_sent = True
            left = deadline - self._loop.time()
            if left <= 0 or (not has_sent and self.is_said) or (until_end and self._has_told_end(offsets)):
                break
            if not has_sent:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), left)
        transfer.end_sending()
        return self.describe()

    def _has_told_end(self, offsets: dict[str, int]) -> bool:
        """What the command has left behind may go on talking."""
        return not self.is_running and all(offsets[name] >= end for name, end in self._ends.items())

    @property
    def is_said(self) -> bool:
        """Nothing can come any more."""
        return not self.is_running and not self.is_kept and all(log.is_ended for log in self._logs.values())

    async def write(self, transfer: Transfer, *, close: bool, size: tuple[int, int] | None) -> Json:
        """The bytes of the transfer go to its stdin."""
        if size is not None:
            self.resize(*size)
        written = wanted = 0
        while (piece := await transfer.receive()) is not None:
            wanted += len(piece)
            if self._input is not None and written == wanted - len(piece):
                written += await self._input.write(piece)
        has_input = self._input is not None and self._input.is_open
        if close and self._input is not None and written == wanted:
            self._close_input()
        return {"written_bytes": written, "is_whole": written == wanted, "has_input": has_input, **self.describe()}

    def _close_input(self) -> None:
        assert self._input is not None
        if self._terminal >= 0:
            # A terminal's way to say so, at the beginning of a line.
            self._loop.create_task(self._input.write(b"\x04"))
        else:
            self._input.close()

    def resize(self, rows: int, columns: int) -> None:
        if self._terminal < 0 or not self._pipes["stdout"].is_open:
            raise RequestError("invalid_argument", "it has no terminal", {"part": "terminal"})
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def describe(self) -> Json:
        """The facts as they are now."""
        return {
            "process_id": self.process_id,
            "pid": self.pid,
            "is_running": self.is_running,
            "has_left": not self.is_running and bool(self.members()),
            "is_over": self.is_said,
            "exit_code": self.exit_code,
            "signal": None if self.exit_signal is None else _name(self.exit_signal),
            "reason": self._reason,
            "started_at": self._started_at,
            "ended_at": self._ended_at or None,
            "stops_at": self._stops_at or None,
            "duration_ms": round(((self.ended or time.monotonic()) - self._started) * 1000, 3),
            "stdout_bytes": self._logs["stdout"].end,
            "stderr_bytes": self._logs["stderr"].end,
            "files": self._files,
            "notices": self._notices,
        }

    async def usage(self) -> Json:
        return await processes_usage(self.members())

    def close(self) -> None:
        for pipe in self._pipes.values():
            pipe.close()
        if self._input is not None:
            self._input.close()

    def _take(self, name: str, data: bytes) -> None:
        log = self._logs[name]
        log.append(data)
        if log.is_full:
            self._pipes[name].pause()
        self._changed.set()

    def _resume(self) -> None:
        for name, pipe in self._pipes.items():
            if not self._logs[name].is_full:
                pipe.resume()


# Those after which what is still there is killed: a caller who sends one of them wants it gone.
_ENDING = frozenset({signal.SIGTERM, signal.SIGKILL, signal.SIGINT, signal.SIGQUIT, signal.SIGABRT})


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name.removeprefix("SIG")
    except ValueError:
        return str(number)


def _instant(in_s: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=in_s)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
