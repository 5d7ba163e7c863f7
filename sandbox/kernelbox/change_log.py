"""What has changed since somebody asked last: one entry a path, in bounded memory."""

import asyncio
from collections import OrderedDict
from typing import Any

from . import limits

Json = dict[str, Any]

CREATED = "created"
MODIFIED = "modified"
REMOVED = "removed"


class ChangeLog:
    """Changes are numbered. Asking for those behind a number says that the ones before it have arrived, and asking twice gives them twice."""

    def __init__(self) -> None:
        self.last = 0
        self._entries: OrderedDict[bytes, tuple[int, str]] = OrderedDict()
        self._bytes = 0
        # Behind the last number that was told, what came and went need not be told at all; up to the last that was lost, nothing is whole.
        self._told = 0
        self._lost = 0
        self._is_new = asyncio.Event()

    def add(self, path: bytes, change: str) -> None:
        before = self._entries.pop(path, None)
        if before is not None:
            self._bytes -= len(path)
            is_told = before[0] <= self._told
            if before[1] == CREATED and change == REMOVED and not is_told:
                return
            if before[1] == CREATED and change == MODIFIED:
                change = CREATED
            elif before[1] == REMOVED and change == CREATED and not is_told:
                change = MODIFIED
        elif len(self._entries) >= limits.WATCH_CHANGES or self._bytes + len(path) > limits.WATCH_CHANGES_BYTES:
            self.lose()
            return
        self.last += 1
        self._entries[path] = (self.last, change)
        self._bytes += len(path)
        self._is_new.set()

    def lose(self) -> None:
        """Something may have changed that is not told."""
        self.last += 1
        self._lost = self.last
        self._entries.clear()
        self._bytes = 0
        self._is_new.set()

    async def wait(self, since: int, wait_s: float) -> None:
        """Until there is something to tell, or the time is over."""
        deadline = asyncio.get_running_loop().time() + wait_s
        while self.last <= since:
            self._is_new.clear()
            try:
                async with asyncio.timeout_at(deadline):
                    await self._is_new.wait()
            except TimeoutError:
                return
            # What belongs together comes together: a file that is made is then written and closed.
            await asyncio.sleep(limits.WATCH_SETTLE_S)

    def acknowledge(self, since: int) -> None:
        """What was told up to that number has arrived."""
        while self._entries:
            path, (seq, _) = next(iter(self._entries.items()))
            if seq > since:
                break
            del self._entries[path]
            self._bytes -= len(path)

    def take(self, since: int) -> Json:
        """All that came behind that number."""
        self.acknowledge(since)
        self._told = self.last
        changes = [{"path": path.decode("utf-8", "replace"), "change": change} for path, (_, change) in self._entries.items()]
        return {"seq": self.last, "changes": changes, "is_complete": 0 < since <= self.last and self._lost <= since}
