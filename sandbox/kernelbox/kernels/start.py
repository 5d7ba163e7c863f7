"""What a process does before it becomes a kernel, however it was started."""

import ctypes
import os
import shutil
import signal
import sys
import tempfile

_PR_SET_NAME = 15
_BAKED_MATPLOTLIB = "/opt/mpl"


def prepare(name: str) -> None:
    """Its environment and its working directory are the context's already. The name is what `ps` shows."""
    ctypes.CDLL(None).prctl(_PR_SET_NAME, name.encode(), 0, 0, 0)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    take_memory_kills(first=1000)
    copy_baked_matplotlib()
    # ipykernel asks for it at every cell, and looking for one that can be written would fail on a full disk, even for what cleans it up.
    tempfile.tempdir = os.environ.get("TMPDIR", "/tmp")


def leave_out_debugger() -> None:
    """22 MB that nobody attaches to; before ipykernel is imported."""
    sys.modules["debugpy"] = None  # type: ignore[assignment]


def take_memory_kills(first: int) -> None:
    """Where memory is short, the process with the greatest number goes first."""
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write(str(first))
    except OSError:
        pass


def copy_baked_matplotlib() -> None:
    """The font cache was made with the image; the root is read-only, and without a writable folder it would be thrown away."""
    target = os.environ.get("MPLCONFIGDIR", "")
    if not target or os.path.isdir(target) or not os.path.isdir(_BAKED_MATPLOTLIB):
        return
    try:
        shutil.copytree(_BAKED_MATPLOTLIB, target)
    except OSError:
        pass
