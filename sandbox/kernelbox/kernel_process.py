"""A kernel's process: how it is started, interrupted and ended."""

import os
import signal
import subprocess
from collections.abc import Callable

from . import limits
from .connection import Connection
from .errors import RequestError, from_os_error
from .languages import LANGUAGES, Language
from .paths import HOME
from .reaper import Reaper

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
    # Its own JSON, whatever plotly takes its surroundings for: elsewhere it writes an HTML page with 4 MB of plotly.js, or looks for a browser.
    "PLOTLY_RENDERER": "plotly_mimetype",
    "XDG_CACHE_HOME": "/tmp/.cache",
    "DENO_DIR": "/tmp/.deno",
    "PYTHONDONTWRITEBYTECODE": "1",
}


class KernelProcess:
    """One kernel that runs, or has ended."""

    def __init__(self, language: Language, process: subprocess.Popen[bytes], connection: Connection, words: int) -> None:
        self.language = language
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
    known = LANGUAGES.get(language)
    if known is None:
        raise RequestError("unsupported", "the image does not have this language")
    try:
        connection = Connection.make(known.transport)
    except OSError as error:
        raise from_os_error(error) from None
    words = os.memfd_create("last-words", os.MFD_CLOEXEC)
    try:
        process = subprocess.Popen(
            [*known.program, connection.path],
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
    kernel = KernelProcess(known, process, connection, words)

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
