"""The process above a command: it keeps the command's tree together and tells how the command ended.

It is a fork of the supervisor that becomes the subreaper of its tree (prctl(2)): whatever the command leaves behind, also a daemon that has forked
twice and made a session of its own, stays below it, where it can be found. It ends when nothing is left there. Like the supervisor it is closed to
user code, which can only kill it.
"""

import ctypes
import fcntl
import os
import signal
import struct
import termios
from contextlib import suppress
from dataclasses import dataclass
from typing import NoReturn

_PR_SET_NAME = 15
_PR_SET_CHILD_SUBREAPER = 36
_DESCRIPTORS_MAX = 1 << 20
_EXIT_NOT_RUN = 127
_libc = ctypes.CDLL(None)

WORD = struct.Struct("!cii")
"""What became of the command: STARTED and its pid, REFUSED and the system's number of the error, or ENDED with exit code and signal."""
STARTED, REFUSED, ENDED = b"s", b"r", b"e"


@dataclass(frozen=True)
class Command:
    """What is to be run, and the descriptors that become its stdin, stdout and stderr; with a terminal all three are that."""

    argv: list[str]
    env: dict[str, str]
    folder: int
    stdin: int
    stdout: int
    stderr: int
    is_terminal: bool


def start(command: Command) -> tuple[int, int]:
    """The keeper's pid, and a descriptor on which it says its words. Raises OSError where no process can be made."""
    read_end, write_end = os.pipe()
    # A handler of the supervisor's must not run in a fork.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        pid = os.fork()
        if pid == 0:
            _keep(command, write_end)
    except OSError:
        os.close(read_end)
        raise
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        os.close(write_end)
    return pid, read_end


def _keep(command: Command, words: int) -> NoReturn:
    try:
        signal.set_wakeup_fd(-1)
        os.setsid()
        _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        _libc.prctl(_PR_SET_NAME, b"keeper", 0, 0, 0)
        _close_all_but({words, command.folder, command.stdin, command.stdout, command.stderr})
        begun, begins = os.pipe()
        pid = os.fork()
        if pid == 0:
            _run(command, begins)
        _close_all_but({words, begun})
        refusal = os.read(begun, 4)
        os.close(begun)
        if refusal:
            os.write(words, WORD.pack(REFUSED, int.from_bytes(refusal, "big"), 0))
        else:
            take_memory_kills_first(pid)
            os.write(words, WORD.pack(STARTED, pid, 0))
        while True:
            ended, status = os.waitpid(-1, 0)
            if ended == pid and not refusal:
                code = os.waitstatus_to_exitcode(status)
                os.write(words, WORD.pack(ENDED, max(code, 0), max(-code, 0)))
    except OSError as error:
        if not isinstance(error, ChildProcessError):
            with suppress(OSError):
                os.write(words, WORD.pack(REFUSED, error.errno or 0, 0))
    finally:
        os._exit(0)


def _run(command: Command, begins: int) -> NoReturn:
    """Its last act, if all is well, is to become the command, which closes `begins`."""
    try:
        os.setsid()
        if command.is_terminal:
            fcntl.ioctl(command.stdin, termios.TIOCSCTTY, 0)
        os.fchdir(command.folder)
        for target, source in enumerate((command.stdin, command.stdout, command.stderr)):
            os.dup2(source, target)
        os.set_inheritable(begins, False)
        _close_all_but({begins})
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        os.execvpe(command.argv[0], command.argv, command.env)  # noqa: S606  what the caller asked for, inside the sandbox
    except OSError as error:
        with suppress(OSError):
            os.write(begins, (error.errno or 0).to_bytes(4, "big"))
    finally:
        os._exit(_EXIT_NOT_RUN)


def take_memory_kills_first(pid: int) -> None:
    """Before the supervisor, with which everything else would go."""
    with suppress(OSError), open(f"/proc/{pid}/oom_score_adj", "w") as file:
        file.write("1000")


def _close_all_but(kept: set[int]) -> None:
    """And but stdin, stdout and stderr."""
    low = 3
    for descriptor in sorted(kept):
        os.closerange(low, descriptor)
        low = max(low, descriptor + 1)
    os.closerange(low, _DESCRIPTORS_MAX)
