"""Whether the sandbox has room for another kernel."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from . import limits, usage
from .errors import RequestError


class KernelRoom:
    """One for the sandbox: kernels that start take their processes and their memory bit by bit, so those on their way count as well."""

    def __init__(self) -> None:
        self._starting = 0

    @contextlib.asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Held while a kernel starts. `limit_exceeded` where what stays uses the memory: a kernel more would cost some context its variables."""
        await self._wait()
        # Nothing is awaited between the look and this, or two would take one place.
        self._starting += 1
        try:
            yield
        finally:
            self._starting -= 1

    async def _wait(self) -> None:
        """Processes that were killed a moment ago count until they are collected, and what starts may fail."""
        tries = limits.ROOM_TRIES
        for _ in range(limits.ROOM_TRIES_MAX):
            if usage.free_processes() >= limits.KERNEL_PROCESSES and _has_memory(1 + self._starting):
                return
            tries -= 0 if self._starting else 1
            if tries == 0:
                break
            await asyncio.sleep(limits.ROOM_WAIT_S)
        if not _has_memory(1):
            now = {
                "memory_free_bytes": usage.free_memory(),
                "memory_limit_bytes": usage.usage()["memory_limit_bytes"],
                "memory_needed_bytes": limits.KERNEL_MEMORY_BYTES,
            }
            free, limit, needed = (f"{count // limits.MIB} MiB" for count in now.values())
            message = (
                f"{free} of the sandbox's {limit} of memory are free, and a kernel needs {needed}: delete a context, or restart one that holds much"
            )
            raise RequestError("limit_exceeded", message, now)


def _has_memory(kernels: int) -> bool:
    return usage.free_memory() >= kernels * limits.KERNEL_MEMORY_BYTES
