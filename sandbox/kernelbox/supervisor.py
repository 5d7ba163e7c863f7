"""PID 1 of a sandbox: `python -I -m kernelbox.supervisor`, reached over its own stdin and stdout.

It has the same uid as user code, so it makes itself undumpable: its descriptors, its memory and its environment are closed to them. Signals from
inside the container cannot end it: the kernel spares PID 1 the deadly ones, and the others are blocked.
"""

import asyncio
import contextlib
import ctypes
import fcntl
import os
import signal
import sys
import uuid
from typing import Any, NoReturn

from . import limits
from .channel import Channel
from .lease import Lease
from .service import Service

_PR_SET_DUMPABLE = 4
_PR_SET_NAME = 15
EXIT_OK = 0
EXIT_LEASE = 75


def main() -> None:
    _close_to_others()
    in_fd, out_fd = _take_protocol_descriptors()
    _block_signals()
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    boot_id = uuid.uuid4().hex

    def end(code: int) -> NoReturn:
        # As PID 1 goes, the kernel kills everything else in the container.
        os._exit(code)

    def shut_down() -> None:
        # After the answer has left.
        loop.call_later(0.05, end, EXIT_OK)

    def hello() -> dict[str, Any]:
        return {"boot_id": boot_id, **service.hello()}

    service = Service(
        loop,
        send_event=lambda message, hold: channel.send_event(message, hold=hold),
        shut_down=shut_down,
    )
    lease = Lease(lambda: end(EXIT_LEASE))
    channel = Channel(
        loop,
        in_fd,
        out_fd,
        handler=service.handle,
        hello=hello,
        on_attach=service.attached,
        lease=lease,
    )
    lease.watch()
    loop.run_forever()


def _close_to_others() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        sys.exit("the supervisor cannot close itself to others")
    libc.prctl(_PR_SET_NAME, b"kernelbox", 0, 0, 0)
    os.chdir("/")
    os.umask(0o022)


def _take_protocol_descriptors() -> tuple[int, int]:
    """Moves the channel to descriptors that no child inherits; 0, 1 and 2 lead nowhere from now on."""
    in_fd, out_fd = (os.dup(fd) for fd in (0, 1))
    for fd in (in_fd, out_fd):
        _widen(fd)
    null = os.open("/dev/null", os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.close(null)
    return in_fd, out_fd


def _widen(fd: int) -> None:
    """A pipe of 64 KiB is full, or empty, some thousand times in a transfer of 100 MB, and each time somebody has to be woken."""
    with contextlib.suppress(OSError):
        fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, limits.PIPE_BYTES)


def _block_signals() -> None:
    """All but SIGCHLD. Kernels unblock them at their start (kernels/python.py)."""
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals() - {signal.SIGCHLD})


if __name__ == "__main__":
    main()
