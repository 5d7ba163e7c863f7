"""Capture of a kernel's output that loses nothing at the end of a cell.

ipykernel reads what is written to file descriptors 1 and 2 in a thread, and sends what it has read at intervals of 0.2 s. So the tail of a
subprocess's output can still be in the pipe, or in that thread's hands, when the cell is reported done; no waiting time cures it. Here every
flush, and ipykernel flushes before it reports idle, first takes what is in the pipe, under the lock that the reading thread holds too. The same
before each write keeps print() and the output of subprocesses in order.

It overrides private names of ipykernel 7.4.0 (_watch_pipe_fd, _setup_stream_redirects, _rotate_buffers), which is why that version is exact.
"""

import codecs
import ctypes
import fcntl
import os
import select
import threading
from typing import Any

from ipykernel.iostream import OutStream

_READ_BYTES = 256 * 1024
_PIECE_CHARACTERS = 256 * 1024
# A writer that is this far ahead waits until its output was sent.
_PENDING_CHARACTERS = 1024 * 1024
_F_GETPIPE_SZ = 1032

_libc = ctypes.CDLL(None)


class BarrierOutStream(OutStream):
    # Longer than a kernel may be held back; what it says on giving up would go into the user's own stderr.
    flush_timeout = 60

    def __init__(self, session: Any, pub_thread: Any, name: str, echo: Any = None, **options: Any) -> None:
        self._drain_lock = threading.RLock()
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._pending = 0
        self._pipe_bytes = 64 * 1024
        self._c_stream = ctypes.c_void_p.in_dll(_libc, name)
        # The copy of the output on the process's own stdout is dropped: it leads nowhere.
        super().__init__(session, pub_thread, name, echo=None, **options)
        os.register_at_fork(after_in_child=self._forget_parents_text)

    def fileno(self) -> int:
        """The watched descriptor, so that a subprocess given this stream is captured too."""
        return self._original_stdstream_fd if self._should_watch else super().fileno()

    def _forget_parents_text(self) -> None:
        """A forked child has copies of what the parent is about to send, and of locks that a thread of the parent may hold."""
        self._drain_lock = threading.RLock()
        self._buffer_lock = threading.RLock()
        self._buffers.clear()
        self._pending = 0

    def write(self, string: str) -> int:
        if not isinstance(string, str):
            raise TypeError(f"write() argument must be str, not {type(string)}")
        if not self._is_master_process():
            return super().write(string) or 0
        self._drain()
        for at in range(0, len(string), _PIECE_CHARACTERS):
            self._put(string[at : at + _PIECE_CHARACTERS])
        return len(string)

    def flush(self) -> None:
        if self._is_master_process() and threading.current_thread() is not self.pub_thread.thread:
            # C's own buffer first: puts() of a library would else wait for the process's end.
            _libc.fflush(self._c_stream)
            self._drain()
        super().flush()

    def _setup_stream_redirects(self, name: str) -> None:
        read_end, write_end = os.pipe()
        os.set_blocking(read_end, False)
        self._pipe_bytes = fcntl.fcntl(read_end, _F_GETPIPE_SZ)
        self._original_stdstream_fd = 1 if name == "stdout" else 2
        self._original_stdstream_copy = os.dup(self._original_stdstream_fd)
        os.dup2(write_end, self._original_stdstream_fd)
        os.close(write_end)
        self._fid = read_end
        self._exc = None
        self.watch_fd_thread = threading.Thread(target=self._watch_pipe_fd, daemon=True)
        self.watch_fd_thread.start()

    def _watch_pipe_fd(self) -> None:
        poller = select.poll()
        poller.register(self._fid, select.POLLIN)
        while self._should_watch:
            poller.poll()
            with self._drain_lock:
                try:
                    data = os.read(self._fid, _READ_BYTES)
                except BlockingIOError:
                    continue
                except OSError:
                    return
                if not data:
                    return
                self._take(data)
            self._wait_if_ahead()

    def _drain(self) -> None:
        """Takes what is in the pipe now. A finished writer cannot have left more than the pipe holds, and an endless one cannot hold us."""
        if self._fid is None:
            return
        left = self._pipe_bytes
        with self._drain_lock:
            while left > 0:
                try:
                    data = os.read(self._fid, min(left, _READ_BYTES))
                except OSError:
                    return
                if not data:
                    return
                left -= len(data)
                self._take(data)

    def _take(self, data: bytes) -> None:
        text = self._decoder.decode(data)
        if not text:
            return
        self._pending += len(text)
        # It belongs to the code that runs now, not to whichever thread or task happened to drain the pipe.
        token = self._parent_header.set(self._parent_header_global)
        try:
            super().write(text)
        finally:
            self._parent_header.reset(token)

    def _put(self, text: str) -> None:
        self._pending += len(text)
        super().write(text)
        self._wait_if_ahead()

    def _wait_if_ahead(self) -> None:
        if self._pending > _PENDING_CHARACTERS and threading.current_thread() is not self.pub_thread.thread:
            super().flush()

    def _rotate_buffers(self) -> Any:
        self._pending = 0
        return super()._rotate_buffers()
