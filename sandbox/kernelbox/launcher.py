"""Starts kernels: as forks of the template process where that gives the same kernel, else as programs."""

import asyncio
import os
import subprocess
from itertools import islice

from . import limits
from .connection import Connection
from .environment import ENVIRONMENT
from .errors import RequestError, from_os_error
from .keeper import take_memory_kills_first
from .kernel_process import KernelProcess
from .kernel_room import KernelRoom
from .languages import LANGUAGES, Language
from .paths import HOME
from .process_output import ProcessOutput
from .reaper import Reaper
from .template_process import TemplateProcess

# What the interpreter, the C library and numeric libraries read once, when they are loaded: a fork would ignore them.
_READ_ONCE = (
    "PYTHON",
    "LD_",
    "LC_",
    "LANG",
    "MALLOC_",
    "GLIBC_",
    "OMP_",
    "OPENBLAS_",
    "GOTO_",
    "MKL_",
    "KMP_",
    "BLIS_",
    "NUMEXPR_",
    "NPY_",
    "MPL",
    "ARROW_",
    "PANDAS_",
    "IPYTHON",
    "HOME",
)


class Launcher:
    """One for the sandbox. Its template process starts with it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, reaper: Reaper) -> None:
        self._reaper = reaper
        self.room = KernelRoom()
        self._template = TemplateProcess(loop, reaper, ENVIRONMENT)

    @property
    def template_pid(self) -> int:
        return self._template.pid

    async def start(self, language: str, cwd: str, env: dict[str, str]) -> KernelProcess:
        """What is returned may still be about to fail."""
        known = LANGUAGES.get(language)
        if known is None:
            raise RequestError("unsupported", "the image does not have this language")
        output: ProcessOutput | None = None
        try:
            connection = Connection.make(known.transport)
        except OSError as error:
            raise from_os_error(error) from None
        words = os.memfd_create("last-words", os.MFD_CLOEXEC)
        try:
            output = ProcessOutput() if known.speaks_on_descriptors else None
            folder = _existing(cwd)
            pid = await self._fork(known, connection, folder, env, words) or _spawn(known, connection, folder, env, words, output)
        except BaseException as error:
            os.close(words)
            connection.remove()
            if output is not None:
                output.close()
            if isinstance(error, ValueError):
                raise RequestError("invalid_argument", "the environment or the folder cannot be given to a process") from None
            if isinstance(error, OSError):
                raise from_os_error(error) from None
            raise
        kernel = KernelProcess(known, pid, connection, words, output)
        self._reaper.expect(pid, kernel.ended)
        return kernel

    async def _fork(self, language: Language, connection: Connection, cwd: str, env: dict[str, str], words: int) -> int:
        """0 where a program has to be started instead."""
        if language.template is None or any(name.startswith(_READ_ONCE) for name in env) or self._has_other_versions():
            return 0
        try:
            return await self._template.fork(language.template, connection.path, cwd, {**ENVIRONMENT, **env}, words)
        except OSError:
            # It was killed, or is slow: slower is better than not at all.
            return 0

    def _has_other_versions(self) -> bool:
        """Whether the user has installed a package that forks would have in the image's version."""
        try:
            with os.scandir(_USER_PACKAGES) as entries:
                names = (entry.name.partition(".")[0] for entry in islice(entries, limits.FOLDER_ENTRIES))
                return not self._template.packages.isdisjoint(names)
        except OSError:
            return False


_USER_PACKAGES = f"{HOME}/.local/lib/python3.13/site-packages"


def _spawn(language: Language, connection: Connection, cwd: str, env: dict[str, str], words: int, output: ProcessOutput | None) -> int:
    process = subprocess.Popen(
        [*language.program, connection.path],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL if output is None else output.ends[0],
        stderr=words if output is None else output.ends[1],
        cwd=cwd,
        env={**ENVIRONMENT, **env},
        start_new_session=True,
    )
    # The reaper learns how it ends; a Popen without a code would wait for it too.
    process.returncode = 0
    if output is not None:
        output.started()
    take_memory_kills_first(process.pid)
    return process.pid


def _existing(cwd: str) -> str:
    """Code may have removed its own folder; a context must not be lost with it."""
    try:
        os.makedirs(cwd, exist_ok=True)
    except OSError:
        return HOME
    return cwd
