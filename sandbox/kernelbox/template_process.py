"""The template process from the supervisor's side: it is kept running, and asked for forks (kernels/template.py)."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from typing import Any

from . import limits
from .reaper import Reaper

Json = dict[str, Any]


class TemplateProcess:
    """User code has the same uid and can stop or kill it; then it is replaced, and whoever needs a kernel meanwhile starts a plain one."""

    def __init__(self, loop: asyncio.AbstractEventLoop, reaper: Reaper, env: dict[str, str]) -> None:
        self._loop = loop
        self._reaper = reaper
        self._env = env
        self._pid = 0
        self._socket: socket.socket | None = None
        self._ready: asyncio.Future[None] = loop.create_future()
        self._orders: dict[int, asyncio.Future[int]] = {}
        self._next_order = 1
        self._starts: list[float] = []
        # Packages that every fork has already, in the image's version.
        self.packages: frozenset[str] = frozenset()
        self._start()

    @property
    def pid(self) -> int:
        """0 where there is none now."""
        return self._pid

    async def fork(self, kernel: str, connection_file: str, cwd: str, env: dict[str, str], words: int) -> int:
        """The pid of a new kernel process, whose end the reaper will see. OSError where there is none to be had in time."""
        if self._socket is None:
            self._start()
        await asyncio.wait([self._ready], timeout=limits.TEMPLATE_READY_S)
        if self._socket is None or not self._ready.done():
            raise TimeoutError("the template process is not ready")
        number, self._next_order = self._next_order, self._next_order + 1
        order = {"kernel": kernel, "connection_file": connection_file, "cwd": cwd, "env": env}
        pid: asyncio.Future[int] = self._loop.create_future()
        self._orders[number] = pid
        try:
            self._send(number, order, words)
            return await asyncio.wait_for(pid, limits.FORK_S)
        except (TimeoutError, asyncio.CancelledError) as error:
            if pid.done() and not pid.cancelled() and pid.exception() is None:
                # The answer came in the same turn of the loop, and nobody takes it.
                _kill(pid.result())
            elif isinstance(error, TimeoutError):
                self._give_up()
            raise
        finally:
            self._orders.pop(number, None)

    def _send(self, number: int, order: Json, words: int) -> None:
        assert self._socket is not None
        with contextlib.suppress(OSError):
            os.killpg(self._pid, signal.SIGCONT)
        # The environment of a context may be larger than a message.
        paper = os.memfd_create("order", os.MFD_CLOEXEC)
        try:
            with open(paper, "wb", closefd=False) as file:
                file.write(json.dumps(order).encode())
            socket.send_fds(self._socket, [json.dumps({"id": number}).encode()], [words, paper])
        finally:
            os.close(paper)

    def _start(self) -> None:
        """Not more often than what keeps killing it could be doing for fun."""
        now = self._loop.time()
        self._starts = [at for at in self._starts if now - at < limits.TEMPLATE_STARTS_S]
        if len(self._starts) >= limits.TEMPLATE_STARTS:
            return
        self._starts.append(now)
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            process = subprocess.Popen(
                [sys.executable, "-I", "-m", "kernelbox.kernels.template", str(its.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env=self._env,
                pass_fds=[its.fileno()],
                start_new_session=True,
            )
        except OSError:
            ours.close()
            return
        finally:
            its.close()
        # The reaper learns how it ends.
        process.returncode = 0
        ours.setblocking(False)
        self._pid, self._socket, self._ready = process.pid, ours, self._loop.create_future()
        self._loop.add_reader(ours, self._readable, ours)
        self._reaper.expect(process.pid, lambda _code, _signal: self._ended(ours))

    def _readable(self, ours: socket.socket) -> None:
        try:
            message = ours.recv(limits.TEMPLATE_MESSAGE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            message = b""
        if not message:
            self._ended(ours)
            return
        try:
            self._take(json.loads(message))
        except (ValueError, TypeError, KeyError, AttributeError):
            self._give_up()

    def _take(self, message: Json) -> None:
        if "ready" in message:
            self.packages = frozenset(str(name) for name in message["ready"])
            if not self._ready.done():
                self._ready.set_result(None)
            return
        waiting = self._orders.pop(message["id"], None)
        if "errno" in message:
            if waiting is not None and not waiting.done():
                waiting.set_exception(OSError(int(message["errno"]), "no fork"))
            return
        pid = int(message["pid"])
        if pid <= 1:
            raise ValueError("no kernel has this pid")
        if waiting is not None and not waiting.done():
            waiting.set_result(pid)
        else:
            # Whoever asked for it has left.
            _kill(pid)

    def _give_up(self) -> None:
        """It does not keep to what was agreed, or was stopped."""
        if self._socket is not None:
            self._ended(self._socket)

    def _ended(self, ours: socket.socket) -> None:
        if self._socket is not ours:
            return
        self._loop.remove_reader(ours)
        self._socket = None
        # The fork that waits is of its group, and may have been stopped.
        with contextlib.suppress(OSError):
            os.killpg(self._pid, signal.SIGKILL)
        self._take_last_answers(ours)
        if not self._ready.done():
            self._ready.set_result(None)
        for waiting in self._orders.values():
            if not waiting.done():
                waiting.set_exception(OSError("the template process has ended"))
        self._orders.clear()
        self._start()

    def _take_last_answers(self, ours: socket.socket) -> None:
        """A fork that has answered is a kernel; one that has not cannot any more, and ends."""
        with contextlib.closing(ours), contextlib.suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
            ours.shutdown(socket.SHUT_RD)
            while message := ours.recv(limits.TEMPLATE_MESSAGE_BYTES):
                self._take(json.loads(message))


def _kill(pid: int) -> None:
    with contextlib.suppress(OSError):
        os.kill(pid, signal.SIGKILL)
