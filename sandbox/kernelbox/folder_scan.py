"""Changes beneath folders where the system does not tell them: found by looking again and again."""

import asyncio
import contextlib
import os

from . import limits
from .change_log import CREATED, MODIFIED, REMOVED, ChangeLog
from .errors import RequestError
from .files import PART_PREFIX
from .inotify import Inotify
from .paths import Paths

_PART = os.fsencode(PART_PREFIX)

# Of each file when it was written, its size, its inode.
Seen = dict[bytes, tuple[int, int, int]]


class FolderScan:
    via = "scan"

    def __init__(self, loop: asyncio.AbstractEventLoop, paths: Paths, log: ChangeLog) -> None:
        self._loop = loop
        self._paths = paths
        self._log = log
        self.is_partial = False

    async def run(self, ready: asyncio.Event) -> None:
        """Until inotify is to be had again."""
        retry_at = self._loop.time() + limits.WATCH_RETRY_S
        before = await self._look()
        self._log.lose()
        ready.set()
        while True:
            begun = self._loop.time()
            await asyncio.sleep(limits.WATCH_SCAN_S)
            if self._loop.time() > retry_at:
                retry_at = self._loop.time() + limits.WATCH_RETRY_S
                if _has_inotify():
                    return
            after = await self._look()
            self._compare(before, after)
            before = after
            # A look through many files takes long; most of the time is for others.
            await asyncio.sleep(max(0.0, self._loop.time() - begun - limits.WATCH_SCAN_S) * 4)

    def close(self) -> None:
        pass

    def _compare(self, before: Seen, after: Seen) -> None:
        for path, seen in after.items():
            if before.get(path) != seen:
                self._log.add(path, MODIFIED if path in before else CREATED)
        if not self.is_partial:
            for path in before.keys() - after.keys():
                self._log.add(path, REMOVED)

    async def _look(self) -> Seen:
        """All files, the upper ones first, as many as there may be; each folder opened beneath its root, no links followed."""
        found: Seen = {}
        looked_at = 0
        folders = [os.fsencode(root) for root in self._paths.roots]
        for path in folders:
            try:
                fd = self._paths.open(os.fsdecode(path), os.O_RDONLY | os.O_DIRECTORY)
            except (OSError, RequestError):
                continue
            try:
                with os.scandir(fd) as entries:
                    for entry in entries:
                        looked_at += 1
                        if looked_at % limits.WATCH_STEP_ENTRIES == 0:
                            await asyncio.sleep(0)
                        if looked_at > limits.WATCH_SCAN_ENTRIES:
                            self.is_partial = True
                            return found
                        name = os.fsencode(entry.name)
                        if entry.is_dir(follow_symlinks=False):
                            folders.append(path + b"/" + name)
                        elif not name.startswith(_PART):
                            with contextlib.suppress(FileNotFoundError):
                                status = os.stat(name, dir_fd=fd, follow_symlinks=False)
                                found[path + b"/" + name] = (status.st_mtime_ns, status.st_size, status.st_ino)
            except OSError:
                continue
            finally:
                os.close(fd)
        self.is_partial = False
        return found


def _has_inotify() -> bool:
    try:
        Inotify().close()
    except OSError:
        return False
    return True
