"""Which files change, for whoever listens."""

import asyncio
from typing import Any

from . import limits
from .change_log import ChangeLog
from .folder_scan import FolderScan
from .folder_watch import FolderWatch
from .paths import Paths

Json = dict[str, Any]


class Watch:
    """Begins with the first request and ends when nobody has asked for a while; past any bound the answers say that they are not complete."""

    def __init__(self, loop: asyncio.AbstractEventLoop, paths: Paths) -> None:
        self._loop = loop
        self._paths = paths
        self._log = ChangeLog()
        self._way: FolderWatch | FolderScan | None = None
        self._work: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()
        self._askers = 0
        self._idle: asyncio.TimerHandle | None = None

    async def changes(self, params: Json) -> Json:
        since = int(params.get("since") or 0)
        wait_s = min(max(float(params.get("wait_s") or 0), 0.0), limits.WATCH_WAIT_S)
        self._askers += 1
        if self._idle is not None:
            self._idle.cancel()
        try:
            if self._work is None or self._work.done():
                self._work = self._loop.create_task(self._run())
            try:
                async with asyncio.timeout(limits.WATCH_READY_S):
                    await self._ready.wait()
            except TimeoutError:
                # A great tree; what is known so far is told already.
                pass
            if 0 < since <= self._log.last:
                self._log.acknowledge(since)
                await self._log.wait(since, wait_s)
            told = self._log.take(since)
            is_whole = self._ready.is_set() and self._way is not None and not self._way.is_partial
            return {**told, "is_complete": told["is_complete"] and is_whole, "via": "scan" if self._way is None else self._way.via}
        finally:
            self._askers -= 1
            if self._askers == 0:
                self._idle = self._loop.call_later(limits.WATCH_IDLE_S, self.close)

    def close(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
        if self._work is not None:
            self._work.cancel()
            self._work = None

    async def _run(self) -> None:
        while True:
            self._ready.clear()
            way = self._way = self._make()
            try:
                await way.run(self._ready)
            finally:
                self._ready.clear()
                way.close()
            # Code can make the system drop events as often as it likes.
            await asyncio.sleep(limits.WATCH_AGAIN_S)

    def _make(self) -> FolderWatch | FolderScan:
        try:
            return FolderWatch(self._loop, self._paths, self._log)
        except OSError:
            return FolderScan(self._loop, self._paths, self._log)
