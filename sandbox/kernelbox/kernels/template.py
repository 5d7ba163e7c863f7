"""The template process: `python -I -m kernelbox.kernels.template <descriptor of its socket>`.

It has imported what nearly every context imports and runs nothing: no thread of ours, no event loop, no ZeroMQ context. A context is a fork of it,
which is ready in some fifty milliseconds and shares the memory of all that until it writes to it.

Imported is only what survives a fork (sandbox/tests/test_template.py): polars starts threads when it is imported; joblib, scikit-learn and polars
hang in a fork when they were used before. matplotlib's inline backend, which hooks itself into the shell when it is imported, is left to the first
figure.
"""

import builtins
import ctypes
import errno
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import time
import warnings
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from . import start

_PR_SET_DUMPABLE = 4
_MEMORY_KILLS_FIRST = 500
_REQUEST_BYTES = 4_096
# In this order; what an image does not have is left out.
_MODULES = (
    "ipykernel.kernelapp",
    "ipykernel.ipkernel",
    "ipykernel.comm",
    "ipykernel.debugger",
    "IPython.core.debugger",
    "IPython.core.oinspect",
    "IPython.core.completer",
    "IPython.core.completerlib",
    "IPython.extensions.storemagic",
    "tornado.locks",
    "tornado.platform.asyncio",
    "tornado.queues",
    "faulthandler",
    "rlcompleter",
    "uuid",
    "numpy",
    "pandas",
    "pyarrow",
    "matplotlib.pyplot",
    "matplotlib.backends.backend_agg",
    "kernelbox.kernels.barrier_out_stream",
    "kernelbox.kernels.bash",
    "kernelbox.kernels.bash_kernel",
    "kernelbox.kernels.charts",
    "kernelbox.kernels.last_value",
    "kernelbox.kernels.python",
    "kernelbox.kernels.sandbox_kernel",
    "kernelbox.kernels.serving",
)
_libc = ctypes.CDLL(None)


@dataclass(frozen=True)
class Order:
    """A kernel to become, as the supervisor asks for it."""

    kernel: str
    connection_file: str
    cwd: str
    env: dict[str, str]
    words: int


def main(descriptor: int) -> None:
    # The supervisor's memory is closed to user code, and so is what all its kernels begin as.
    _libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    start.take_memory_kills(first=_MEMORY_KILLS_FIRST)
    start.copy_baked_matplotlib()
    start.leave_out_debugger()
    supervisor = socket.socket(fileno=descriptor)
    supervisor.setblocking(True)
    modules = _import()
    gc.collect()
    # Or a collection in a fork would write to, and so copy, the memory of everything that was imported.
    gc.freeze()
    supervisor.send(json.dumps({"ready": modules}).encode())
    order = _in_a_fork(supervisor)
    _become(order)
    module: Any = importlib.import_module(f"kernelbox.kernels.{order.kernel}")
    sys.argv = [module.__file__, order.connection_file]
    module.run(order.connection_file)


def _import() -> list[str]:
    """Gives the names of the packages that forks will have whether they want them or not."""
    # Pandas looks for a kernel when it is imported, and takes what it finds for a terminal otherwise, which shows fewer columns.
    names: dict[str, Any] = vars(builtins)
    names["get_ipython"] = lambda: SimpleNamespace(kernel=None)
    for name in _MODULES:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is not None and error.name.startswith("kernelbox"):
                raise
    del names["get_ipython"]
    return sorted({name.partition(".")[0] for name in sys.modules} - sys.stdlib_module_names - {"__main__", "kernelbox"})


def _in_a_fork(supervisor: socket.socket) -> Order:
    """Keeps one fork ahead, that waits for an order; returns in a fork that has got one, and in no other process."""
    while True:
        waiting, taken = os.pipe()
        try:
            middle = _fork()
        except OSError:
            # No room for a process. The order that comes is answered with that.
            middle = -1
        if middle == 0:
            os.close(waiting)
            _leave_middle(supervisor)
            return _wait_for_order(supervisor, taken)
        os.close(taken)
        if middle > 0:
            os.waitpid(middle, 0)
            # At its end, or as soon as it has got an order.
            os.read(waiting, 1)
        else:
            _refuse_order(supervisor)
        os.close(waiting)
        if _is_given_up(supervisor):
            os._exit(0)


def _leave_middle(supervisor: socket.socket) -> None:
    """Only an orphan belongs to the supervisor, which has to learn how it ends. Returns in the orphan."""
    try:
        orphan = _fork()
    except OSError:
        _refuse_order(supervisor)
        os._exit(1)
    if orphan != 0:
        os._exit(0)


def _wait_for_order(supervisor: socket.socket, taken: int) -> Order:
    number, order = _take_order(supervisor)
    # Until now it was of the template's group, which the supervisor wakes and kills as a whole.
    os.setsid()
    os.close(taken)
    # Without anybody who waits for it there is no use for it.
    if not _answer(supervisor, {"id": number, "pid": os.getpid()}):
        os._exit(1)
    supervisor.close()
    return order


def _refuse_order(supervisor: socket.socket) -> None:
    number, order = _take_order(supervisor)
    os.close(order.words)
    _answer(supervisor, {"id": number, "errno": errno.EAGAIN})


def _is_given_up(supervisor: socket.socket) -> bool:
    poller = select.poll()
    poller.register(supervisor, 0)
    return bool(poller.poll(0))


def _take_order(supervisor: socket.socket) -> tuple[int, Order]:
    message, descriptors, _, _ = socket.recv_fds(supervisor, _REQUEST_BYTES, 2)
    if not message:
        # The supervisor has given us up.
        os._exit(0)
    words, order = descriptors
    with open(order, "rb") as file:
        file.seek(0)
        wanted = json.load(file)
    return json.loads(message)["id"], Order(wanted["kernel"], wanted["connection_file"], wanted["cwd"], wanted["env"], words)


def _answer(supervisor: socket.socket, answer: dict[str, Any]) -> bool:
    try:
        supervisor.send(json.dumps(answer).encode())
        return True
    except OSError:
        return False


def _fork() -> int:
    """Without the warning about threads that a fork does not have: OpenBLAS and Arrow make theirs anew."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _become(order: Order) -> None:
    """What an interpreter does at its own start, and what was right for the template only."""
    _libc.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)
    null = os.open("/dev/null", os.O_RDWR)
    for source, target in ((null, 0), (null, 1), (order.words, 2)):
        os.dup2(source, target)
    os.close(null)
    os.close(order.words)
    os.environ.clear()
    os.environ.update(order.env)
    os.chdir(order.cwd)
    time.tzset()
    for number in (signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    # User code may have sent signals while it waited; they were not meant for the kernel that it becomes.
    while signal.sigtimedwait(signal.valid_signals(), 0) is not None:
        pass
    start.prepare(f"{order.kernel}-kernel")
    # random does so by itself.
    sys.modules["numpy"].random.seed()


if __name__ == "__main__":
    main(int(sys.argv[1]))
