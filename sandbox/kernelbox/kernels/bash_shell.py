"""The bash process that a Bash kernel drives: it stays, and its variables with it, from one cell to the next.

It is an interactive shell, since only such a one survives an interrupt, a syntax error and `${x:?}`; it has no terminal. It waits for cells where
others show a prompt (bash_start.sh). The code, and the variables of one execution, lie in files in memory that it reads: they are data, never part of
a line, and a full disk does not matter. What it says of itself comes through a pipe of its own, beside stdout and stderr, which are the kernel's.
"""

import os
import re
import select
import signal
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_PROGRAM = "/bin/bash"
_ARGUMENTS = ("bash", "--norc", "--noprofile", "--noediting", "-i")
_FOLDER = os.path.dirname(os.path.abspath(__file__))
# As bash_start.sh and bash_cell.sh know them; far from those that scripts use.
_CODE, _CELL, _START, _REQUESTS, _REPORTS, _ENVIRONMENT, _STDERR = 200, 201, 202, 203, 204, 205, 206
# An interactive shell runs this before it reads its stdin, which it never comes to.
_START_COMMAND = '. /proc/self/fd/202; eval "$__kernelbox_loop"'
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_REPORT_BYTES = 4_096
# How often it is looked whether an interrupt was missed: by what runs in the shell, and then by the shell alone.
_MISSED_LOOKS = 3
_SHELL_LOOKS = 75
_MISSED_S = 0.03
# Python ignores these, and a child would inherit that.
_DEFAULT_SIGNALS = (signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD)


@dataclass(frozen=True, slots=True)
class End:
    """How the shell has ended: a signal's number, or 0 and the exit code."""

    signal: int
    code: int

    @property
    def status(self) -> int:
        """As a shell would tell it of its child."""
        return 128 + self.signal if self.signal else self.code


class BashShell:
    """Belongs to the main thread, as `interrupt` is called from a signal handler."""

    def __init__(self) -> None:
        self._code = os.memfd_create("cell", os.MFD_CLOEXEC)
        self._environment = os.memfd_create("environment", os.MFD_CLOEXEC)
        its_requests, self._requests = os.pipe()
        self._reports, its_reports = os.pipe()
        cell = os.open(f"{_FOLDER}/bash_cell.sh", os.O_RDONLY | os.O_CLOEXEC)
        start = os.open(f"{_FOLDER}/bash_start.sh", os.O_RDONLY | os.O_CLOEXEC)
        theirs = {
            _CODE: self._code,
            _CELL: cell,
            _START: start,
            _REQUESTS: its_requests,
            _REPORTS: its_reports,
            _ENVIRONMENT: self._environment,
            _STDERR: 2,
        }
        self.pid = os.posix_spawn(
            _PROGRAM,
            _ARGUMENTS,
            {**os.environ, "PS1": "", "PROMPT_COMMAND": _START_COMMAND},
            file_actions=[
                *((os.POSIX_SPAWN_DUP2, ours, number) for number, ours in theirs.items()),
                (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 2, "/dev/null", os.O_WRONLY, 0),
            ],
            # A group of its own, for interrupts. The session stays the kernel's, by which the supervisor finds what to kill with it.
            setpgroup=0,
            setsigmask=(),
            setsigdef=_DEFAULT_SIGNALS,
        )
        for descriptor in (its_requests, its_reports, cell, start):
            os.close(descriptor)
        self.descriptor = os.pidfd_open(self.pid)
        self._end: End | None = None
        self._is_interrupt_due = False
        self._woken, waker = os.pipe()
        os.set_blocking(waker, False)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)

    def expect(self) -> None:
        """Code is about to come. An interrupt from now on is for it."""
        self._is_interrupt_due = False

    def run(self, code: str, environment: Mapping[str, str]) -> int | None:
        """The status of the code's last command; None where the shell has ended. Blocks; the shell takes an interrupt meanwhile."""
        _fill(self._code, code.encode("utf-8", "surrogateescape"))
        _fill(self._environment, b"".join(_record(name) + _record(value) for name, value in environment.items() if _NAME.fullmatch(name)))
        request = b"environment" if environment else b"run"
        try:
            # The first byte is for a late interrupt of the cell before, which makes bash drop what it is reading.
            os.write(self._requests, b"\0" + request + b"\0")
        except BrokenPipeError:
            return None
        try:
            return self._wait()
        finally:
            os.ftruncate(self._code, 0)

    def interrupt(self) -> None:
        """SIGINT to the shell and what it runs in the foreground; background commands of a shell without job control ignore it."""
        # From a signal handler: the loop that waits, which the signal has woken, does it.
        self._is_interrupt_due = True

    def end(self) -> End:
        """How it ended; kills it where it has not."""
        if self._end is None:
            if not _readable([self.descriptor], 0):
                self._signal(signal.SIGKILL)
            _, status = os.waitpid(self.pid, 0)
            code = os.waitstatus_to_exitcode(status)
            self._end = End(signal=max(0, -code), code=max(0, code))
        return self._end

    def _wait(self) -> int | None:
        reports = _Reports(self._reports)
        looks = 0
        look_at = 0.0
        met: set[str] = set()
        while True:
            if self._is_interrupt_due and reports.has_begun:
                self._is_interrupt_due = False
                self._signal(signal.SIGCONT)
                self._signal(signal.SIGINT)
                looks, look_at = _MISSED_LOOKS + _SHELL_LOOKS, time.monotonic() + _MISSED_S
                met = _children(self.pid)
            elif looks > 0 and time.monotonic() >= look_at and _children(self.pid) - met:
                # A loop goes on with commands that it began since. One that dies of an interrupt ends the loop for certain; on a machine that is
                # busy, the shell is hardly ever met between two of them.
                self._signal(signal.SIGINT)
                looks, look_at = looks - 1, time.monotonic() + _MISSED_S
            elif looks > 0 and time.monotonic() >= look_at:
                # The shell again: it takes an interrupt that came just as its child ended by itself for one that the child has dealt with, and a
                # loop of short commands goes on. What it waits for is not told again where it handles interrupts.
                missed = _missed_interrupt(self.pid) if looks > _SHELL_LOOKS else ()
                for pid in (self.pid, *missed):
                    _kill(pid, signal.SIGINT)
                looks, look_at = looks - 1, time.monotonic() + _MISSED_S
            timeout_s = max(0.0, look_at - time.monotonic()) if looks > 0 else None
            ready = _readable((self._woken, self._reports, self.descriptor), timeout_s)
            if self._woken in ready:
                os.read(self._woken, _REPORT_BYTES)
            if self._reports in ready:
                if not reports.read():
                    return None
                if reports.status is not None:
                    return reports.status
            elif self.descriptor in ready:
                return None

    def _signal(self, number: signal.Signals) -> None:
        if self._end is None:
            _kill(-self.pid, number)


class _Reports:
    """What the shell says while one cell runs (bash_start.sh)."""

    def __init__(self, descriptor: int) -> None:
        self.status: int | None = None
        self._descriptor = descriptor
        self.has_begun = False
        self._unread = b""

    def read(self) -> bool:
        """False where nobody can say any more."""
        read = os.read(self._descriptor, _REPORT_BYTES)
        *lines, unread = (self._unread + read).split(b"\n")
        # Only our own shell writes here; code that does too must not make this grow.
        self._unread = unread[-_REPORT_BYTES:]
        for line in lines:
            kind, _, status = line.partition(b" ")
            # What comes before it is of the cell before.
            self.has_begun = self.has_begun or kind == b"b"
            if self.has_begun and kind == b"e" and status.isdigit():
                self.status = int(status)
        return bool(read)


def _fill(descriptor: int, data: bytes) -> None:
    os.ftruncate(descriptor, 0)
    os.lseek(descriptor, 0, os.SEEK_SET)
    with open(descriptor, "wb", closefd=False) as file:
        file.write(data)


def _record(text: str) -> bytes:
    return text.replace("\0", "").encode("utf-8", "surrogateescape") + b"\0"


def _readable(descriptors: Iterable[int], timeout_s: float | None) -> set[int]:
    poller = select.poll()
    for descriptor in descriptors:
        poller.register(descriptor, select.POLLIN)
    return {descriptor for descriptor, _ in poller.poll(None if timeout_s is None else timeout_s * 1_000)}


def _kill(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def _children(pid: int) -> set[str]:
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            return set(file.read().split())
    except OSError:
        return set()


def _missed_interrupt(group: int) -> list[int]:
    """What of the group lives on although SIGINT ends it: just forked, it still had bash's own handler."""
    missed = []
    for name in os.listdir("/proc"):
        try:
            if name.isdigit() and os.getpgid(int(name)) == group and _ends_by_interrupt(name):
                missed.append(int(name))
        except OSError:
            continue
    return missed


def _ends_by_interrupt(pid: str) -> bool:
    """Whether the process neither handles nor ignores nor holds back SIGINT."""
    with open(f"/proc/{pid}/status", "rb") as file:
        masks = [int(line.split()[1], 16) for line in file if line.startswith((b"SigBlk:", b"SigIgn:", b"SigCgt:"))]
    return not any(mask & (1 << (signal.SIGINT - 1)) for mask in masks)
