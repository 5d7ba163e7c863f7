"""A kernel's process: how it is started, interrupted and ended."""

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from . import limits
from .errors import RequestError, from_os_error
from .paths import HOME
from .reaper import Reaper

Json = dict[str, Any]

_LAUNCHERS = {"python": "kernelbox.kernels.python"}
_ENVIRONMENT = {
    "HOME": HOME,
    "USER": "user",
    "LOGNAME": "user",
    "SHELL": "/bin/bash",
    "LANG": "C.UTF-8",
    "LC_ALL": "C.UTF-8",
    "TERM": "xterm-256color",
    "PATH": f"{HOME}/.local/bin:/opt/py/bin:/usr/local/bin:/usr/bin:/bin",
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    "MPLCONFIGDIR": "/tmp/.matplotlib",
    "IPYTHONDIR": "/tmp/.ipython",
    "JUPYTER_DATA_DIR": "/tmp/.jupyter",
    "XDG_CACHE_HOME": "/tmp/.cache",
    "DENO_DIR": "/tmp/.deno",
    "PYTHONDONTWRITEBYTECODE": "1",
}


@dataclass
class Connection:
    """Where a kernel listens. Sockets are files in a folder of its own."""

    folder: str
    key: bytes
    ports: dict[str, int]

    def address(self, channel: str) -> str:
        return f"ipc://{self._socket(channel)}"

    def remove(self) -> None:
        """Our own files, each by its name: code may have put a million others there, and removing those would take us a while."""
        for path in (f"{self.folder}/connection.json", *map(self._socket, self.ports)):
            with contextlib.suppress(OSError):
                os.unlink(path)
        with contextlib.suppress(OSError):
            os.rmdir(self.folder)

    def _socket(self, channel: str) -> str:
        return f"{self.folder}/k-{self.ports[channel]}"


class KernelProcess:
    """One kernel that runs, or has ended."""

    def __init__(self, process: subprocess.Popen[bytes], connection: Connection, words: int) -> None:
        self._process = process
        self._words = words
        self.pid = process.pid
        self.connection = connection
        self.exit_code = 0
        self.exit_signal = 0
        self.is_alive = True

    def interrupt(self) -> None:
        """To the kernel alone: what the code has started goes on."""
        self.wake()
        self._signal(signal.SIGINT)

    def wake(self) -> None:
        """Another context's code, of the same uid, may have stopped it."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """The kernel and what its code has started, also in sessions of their own."""
        if self.is_alive:
            _kill_all(_family(self.pid))

    def ended(self, exit_code: int, exit_signal: int) -> None:
        self.is_alive = False
        self.exit_code = exit_code
        self.exit_signal = exit_signal
        self._process.returncode = -exit_signal or exit_code
        _kill_all(_family(self.pid))
        self.connection.remove()

    def last_words(self) -> str:
        """What it wrote to stderr before it could speak the protocol. Text of user code, perhaps."""
        try:
            size = os.fstat(self._words).st_size
            at = max(0, size - limits.LAST_WORDS_BYTES)
            return os.pread(self._words, limits.LAST_WORDS_BYTES, at).decode("utf-8", "replace")
        except OSError:
            return ""

    def close(self) -> None:
        os.close(self._words)

    def _signal(self, number: int) -> None:
        if self.is_alive:
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                pass


def start_kernel(language: str, cwd: str, env: dict[str, str], reaper: Reaper, on_end: Callable[[], None]) -> KernelProcess:
    """Starts a kernel of the language. The one place that knows how: what is returned may still be about to fail."""
    launcher = _LAUNCHERS.get(language)
    if launcher is None:
        raise RequestError("unsupported", "the image does not have this language")
    try:
        folder = tempfile.mkdtemp(prefix=".kernel-", dir="/tmp")
    except OSError as error:
        raise from_os_error(error) from None
    channels = ("shell", "iopub", "stdin", "control", "hb")
    connection = Connection(folder, secrets.token_hex(16).encode(), {name: at + 1 for at, name in enumerate(channels)})
    path = os.path.join(folder, "connection.json")
    words = os.memfd_create("last-words", os.MFD_CLOEXEC)
    try:
        # Never through what other code of the same uid may have put there: a FIFO, a link.
        with open(path, "x") as file:
            json.dump(_connection_json(connection), file)
        process = subprocess.Popen(
            [sys.executable, "-I", "-m", launcher, path],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=words,
            cwd=_existing(cwd),
            env={**_ENVIRONMENT, **env},
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        os.close(words)
        connection.remove()
        if isinstance(error, ValueError):
            raise RequestError("invalid_argument", "the environment or the folder cannot be given to a process") from None
        raise from_os_error(error) from None
    kernel = KernelProcess(process, connection, words)

    def ended(exit_code: int, exit_signal: int) -> None:
        kernel.ended(exit_code, exit_signal)
        on_end()

    reaper.expect(process.pid, ended)
    return kernel


def _existing(cwd: str) -> str:
    """Code may have removed its own folder; a context must not be lost with it."""
    try:
        os.makedirs(cwd, exist_ok=True)
    except OSError:
        return HOME
    return cwd


def _connection_json(connection: Connection) -> Json:
    return {
        "transport": "ipc",
        "ip": f"{connection.folder}/k",
        "key": connection.key.decode(),
        "signature_scheme": "hmac-sha256",
        "kernel_name": "kernelbox",
        **{f"{name}_port": port for name, port in connection.ports.items()},
    }


def _family(pid: int) -> list[int]:
    """The process, all that descend from it and all of its session, by what /proc tells. A daemon that has left both is not found."""
    children: dict[int, list[int]] = {}
    family = {pid}
    try:
        names = os.listdir("/proc")
    except OSError:
        # Out of descriptors, say. The process itself can be killed without any.
        return [pid]
    for name in names:
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                # After the name: state, ppid, pgrp, session (proc(5)).
                _, parent, _, session = file.read().rpartition(b")")[2].split()[:4]
        except (OSError, ValueError):
            continue
        children.setdefault(int(parent), []).append(int(name))
        if int(session) == pid:
            family.add(int(name))
    found = list(family)
    for member in found:
        below = [child for child in children.get(member, ()) if child not in family]
        family.update(below)
        found += below
    return found


def _kill_all(pids: list[int]) -> None:
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except OSError:
            pass
