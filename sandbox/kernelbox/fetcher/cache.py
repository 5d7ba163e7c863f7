"""The principal's cache: what pip and Deno have got before, and a folder for each fetch under way."""

import fcntl
import os
import shutil
import struct
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from .. import limits
from .folder_size import files_beneath


class Cache:
    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._job = ""
        self._lock = -1

    @property
    def pip(self) -> str:
        return os.path.join(self._folder, "pip")

    @property
    def deno(self) -> str:
        return os.path.join(self._folder, "deno")

    @contextmanager
    def used(self) -> Iterator[None]:
        """While it is used nobody else takes anything out of it."""
        self._lock = os.open(os.path.join(self._folder, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self._set_lock(fcntl.F_OFD_SETLKW, fcntl.F_RDLCK)
            yield
        finally:
            os.close(self._lock)

    @contextmanager
    def _alone(self) -> Iterator[bool]:
        """False where another fetch uses it, too."""
        try:
            self._set_lock(fcntl.F_OFD_SETLK, fcntl.F_WRLCK)
        except BlockingIOError:
            is_alone = False
        else:
            is_alone = True
        try:
            yield is_alone
        finally:
            self._set_lock(fcntl.F_OFD_SETLK, fcntl.F_RDLCK)

    def _set_lock(self, command: int, kind: int) -> None:
        """Of the whole file. Unlike with flock, whoever asks for more than they hold and does not get it keeps what they held."""
        fcntl.fcntl(self._lock, command, struct.pack("hhqqi4x", kind, os.SEEK_SET, 0, 0, 0))

    def forget(self, folder: str) -> None:
        """Throws away what was kept, for it may be damaged."""
        with self._alone() as is_alone:
            if is_alone:
                self._throw_away(folder)

    def _throw_away(self, folder: str) -> None:
        """Out of sight at once: this may be ended in the middle, and half a package would be taken for a whole one."""
        gone = tempfile.mkdtemp(dir=self._jobs())
        with suppress(FileNotFoundError):
            os.rename(folder, gone)
        shutil.rmtree(gone, ignore_errors=True)

    def _jobs(self) -> str:
        jobs = os.path.join(self._folder, "jobs")
        os.makedirs(jobs, exist_ok=True)
        return jobs

    @contextmanager
    def job(self) -> Iterator[str]:
        """A folder for one fetch, on the same disk, since what is fetched may be larger than /tmp. Very old ones were left."""
        jobs = self._jobs()
        for name in os.listdir(jobs):
            path = os.path.join(jobs, name)
            with suppress(OSError):
                if time.time() - os.lstat(path).st_mtime > limits.FETCH_JOB_S:
                    shutil.rmtree(path, ignore_errors=True)
        self._job = tempfile.mkdtemp(dir=jobs)
        try:
            yield self._job
        finally:
            self.drop_job()

    def drop_job(self) -> None:
        if self._job:
            shutil.rmtree(self._job, ignore_errors=True)

    def shrink(self, size: int) -> None:
        """Keeps it below its bound: what killed fetchers left goes, and what was used least lately, until there is some room again."""
        with self._alone() as is_alone:
            if is_alone:
                self._remove_jobs_left()
                for folder in (self.pip, self.deno):
                    self._shrink(folder, size // 2)

    def _remove_jobs_left(self) -> None:
        """Of fetchers that were killed: nobody else is there, so the others' folders are nobody's."""
        jobs = self._jobs()
        for name in os.listdir(jobs):
            path = os.path.join(jobs, name)
            if path != self._job:
                shutil.rmtree(path, ignore_errors=True)

    def _shrink(self, folder: str, size: int) -> None:
        files = files_beneath(folder)
        total = sum(each for _, each, _ in files)
        if total <= size:
            return
        if folder == self.deno:
            # Not one by one: a package of which some files are missing would be taken for whole.
            self._throw_away(folder)
            return
        for path, each, _ in sorted(files, key=lambda file: file[2]):
            if total <= size * 3 // 4:
                return
            with suppress(OSError):
                os.unlink(path)
            total -= each
