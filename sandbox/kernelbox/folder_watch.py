"""Changes beneath folders, as the system tells them."""

import asyncio
import os
from collections import deque

from . import inotify, limits
from .change_log import CREATED, MODIFIED, REMOVED, ChangeLog
from .errors import RequestError
from .files import PART_PREFIX
from .inotify import Event, Inotify
from .paths import Paths

_PART = os.fsencode(PART_PREFIX)


class Folder:
    """One that is watched. By its names a file that is new is told from one that was replaced."""

    __slots__ = ("below", "names", "path", "watch")

    def __init__(self, path: bytes, watch: int) -> None:
        self.path = path
        self.watch = watch
        self.names: set[bytes] = set()
        self.below: dict[bytes, Folder] = {}


class FolderWatch:
    """One inotify instance, with a watch for each folder that is known.

    A folder is opened beneath its root, no links followed, and watched by that descriptor; then it is looked through, so that what was in it before
    is known. Work is done in small steps, so that it holds up nothing else.
    """

    via = "inotify"

    def __init__(self, loop: asyncio.AbstractEventLoop, paths: Paths, log: ChangeLog) -> None:
        """Raises OSError where there is no instance or no watch to be had."""
        self._loop = loop
        self._paths = paths
        self._log = log
        self._folders: dict[int, Folder] = {}
        self._names = 0
        # Folders to look through: in which, under what name, and whether what lies in them is new.
        self._pending: deque[tuple[Folder, bytes, bool]] = deque()
        self._is_pending = asyncio.Event()
        self._is_over = False
        self.is_partial = False
        self._inotify = Inotify()
        try:
            self._try_first()
        except BaseException:
            self._inotify.close()
            raise
        self._pause = loop.call_soon(self._listen)

    async def run(self, ready: asyncio.Event) -> None:
        """Until the system has dropped events: then it is to be begun anew."""
        for root in self._paths.roots:
            await self._enter(os.fsencode(root), is_new=False)
        while not self._is_over:
            while self._pending and not self._is_over:
                parent, name, is_new = self._pending.popleft()
                if self._folders.get(parent.watch) is parent:
                    await self._enter(parent.path + b"/" + name, is_new, parent)
            if not self._pending and not ready.is_set():
                self._log.lose()
                ready.set()
            self._is_pending.clear()
            if not self._pending and not self._is_over:
                await self._is_pending.wait()

    def close(self) -> None:
        self._pause.cancel()
        self._loop.remove_reader(self._inotify.fd)
        self._inotify.close()

    def _try_first(self) -> None:
        for root in self._paths.roots[:1]:
            fd = self._paths.open(root, os.O_RDONLY | os.O_DIRECTORY)
            try:
                self._inotify.add(fd)
            finally:
                os.close(fd)

    async def _enter(self, path: bytes, is_new: bool, parent: Folder | None = None) -> None:
        """Watches a folder and looks through it. One that is none (any more), or whose mode keeps us out, is left out."""
        if len(self._folders) >= limits.WATCH_FOLDERS:
            self.is_partial = True
            return
        try:
            fd = self._paths.open(os.fsdecode(path), os.O_RDONLY | os.O_DIRECTORY)
        except (OSError, RequestError):
            return
        try:
            folder = self._watched(path, fd)
            if folder is not None:
                if parent is not None:
                    parent.below[path.rsplit(b"/", 1)[-1]] = folder
                await self._look_through(folder, fd, is_new)
        except OSError:
            # The system has no more watches, for all sandboxes together, or no descriptor.
            self.is_partial = True
        finally:
            os.close(fd)
        await asyncio.sleep(0)

    def _watched(self, path: bytes, fd: int) -> Folder | None:
        """None where it is watched already."""
        watch = self._inotify.add(fd)
        known = self._folders.get(watch)
        if known is not None and known.path == path:
            return None
        if known is not None:
            # It has moved, and what was told of that is still to be read.
            self._forget(known)
            watch = self._inotify.add(fd)
        folder = self._folders[watch] = Folder(path, watch)
        return folder

    async def _look_through(self, folder: Folder, fd: int, is_new: bool) -> None:
        with os.scandir(fd) as entries:
            for at, entry in enumerate(entries, 1):
                if at % limits.WATCH_STEP_ENTRIES == 0:
                    await asyncio.sleep(0)
                if self._is_over or self._folders.get(folder.watch) is not folder:
                    return
                self._found(folder, os.fsencode(entry.name), entry.is_dir(follow_symlinks=False), is_new)

    def _found(self, folder: Folder, name: bytes, is_folder: bool, is_new: bool) -> None:
        if is_folder:
            self._add_pending(folder, name, is_new)
        elif not name.startswith(_PART):
            self._keep_name(folder, name)
        else:
            return
        if is_new:
            self._log.add(folder.path + b"/" + name, CREATED)

    def _listen(self) -> None:
        self._loop.add_reader(self._inotify.fd, self._readable)

    def _readable(self) -> None:
        # Code can make as many events as it likes: most of the time is for others.
        self._loop.remove_reader(self._inotify.fd)
        self._pause = self._loop.call_later(limits.WATCH_PAUSE_S, self._listen)
        for event in self._inotify.read(limits.WATCH_READ_BYTES):
            if event.what & inotify.OVERFLOW:
                self._log.lose()
                self._is_over = True
                self._is_pending.set()
                self._pause.cancel()
                return
            folder = self._folders.get(event.watch)
            if folder is None:
                continue
            if event.what & inotify.IGNORED:
                self._forget(folder)
            elif event.what & inotify.IS_FOLDER:
                self._folder_changed(folder, event)
            elif event.name and not event.name.startswith(_PART):
                self._file_changed(folder, event)

    def _folder_changed(self, folder: Folder, event: Event) -> None:
        path = folder.path + b"/" + event.name
        if event.what & (inotify.DELETE | inotify.MOVED_FROM):
            below = folder.below.pop(event.name, None)
            if below is not None:
                self._forget(below)
            self._log.add(path, REMOVED)
        elif event.what & (inotify.CREATE | inotify.MOVED_TO):
            self._add_pending(folder, event.name, True)
            self._log.add(path, CREATED)

    def _file_changed(self, folder: Folder, event: Event) -> None:
        path = folder.path + b"/" + event.name
        if event.what & (inotify.DELETE | inotify.MOVED_FROM):
            if event.name in folder.names:
                folder.names.discard(event.name)
                self._names -= 1
            self._log.add(path, REMOVED)
        elif event.what & (inotify.CREATE | inotify.MOVED_TO) and event.name not in folder.names:
            self._keep_name(folder, event.name)
            self._log.add(path, CREATED)
        else:
            self._log.add(path, MODIFIED)

    def _add_pending(self, parent: Folder, name: bytes, is_new: bool) -> None:
        if len(self._pending) >= limits.WATCH_FOLDERS:
            self.is_partial = True
            return
        self._pending.append((parent, name, is_new))
        self._is_pending.set()

    def _keep_name(self, folder: Folder, name: bytes) -> None:
        if self._names < limits.WATCH_NAMES and name not in folder.names:
            folder.names.add(name)
            self._names += 1

    def _forget(self, folder: Folder) -> None:
        """The folder and all beneath it, wherever they are now."""
        left = [folder]
        while left:
            one = left.pop()
            left.extend(one.below.values())
            if self._folders.get(one.watch) is one:
                del self._folders[one.watch]
                self._names -= len(one.names)
                self._inotify.remove(one.watch)
