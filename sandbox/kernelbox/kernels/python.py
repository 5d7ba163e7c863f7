"""The Python kernel. Started as a program: `python -I -m kernelbox.kernels.python <connection file>`, or by `run` in a fork of the template process.

It starts isolated (-I), so that nothing a user left in the workspace, `./numpy.py` or a `.pth` file, can run before or instead of what the kernel
itself is made of. The user's own packages and folder join the path afterwards.
"""

import contextlib
import os
import signal
import sys
import warnings
from collections.abc import Iterator
from typing import Any

from . import start


def main(connection_file: str) -> None:
    start.prepare("python-kernel")
    start.leave_out_debugger()
    run(connection_file)


def run(connection_file: str) -> None:
    """Serves until the kernel's end. The process is prepared (start.py)."""
    from tornado.ioloop import IOLoop

    from . import charts
    from .last_value import VALUE_TYPE, ValueFormatter
    from .sandbox_kernel import SandboxKernel
    from .serving import ServingApp

    app = ServingApp.instance(
        kernel_class=SandboxKernel,
        outstream_class="kernelbox.kernels.barrier_out_stream.BarrierOutStream",
        connection_file=connection_file,
    )
    app.config.HistoryManager.enabled = False
    app.config.IPCompleter.use_jedi = False
    app.initialize([])
    app.kernel._execute_sleep = 0

    formatters = app.shell.display_formatter.formatters
    formatters[VALUE_TYPE] = ValueFormatter(parent=app.shell.display_formatter)
    charts.register(app.shell)
    # IPython's own would end the kernel; the interpreter's raise SystemExit, which ends the cell.
    app.shell.user_ns["exit"] = app.shell.user_ns["quit"] = _exit
    # Said at every sys.exit(), and wrong here.
    warnings.filterwarnings("ignore", message="To exit: use", category=UserWarning)
    with _last_words_on_stderr():
        _join_user_packages()

    # ipykernel asks the loop to cancel an awaiting cell from a signal handler, which does not wake a loop that sleeps.
    loop = IOLoop.current().asyncio_loop
    signal.set_wakeup_fd(loop._csock.fileno(), warn_on_full_buffer=False)
    app.start()


@contextlib.contextmanager
def _last_words_on_stderr() -> Iterator[None]:
    """What a user's start-up file says before it ends the kernel goes to the supervisor, not into a capture that nobody will read."""
    captured: Any = sys.stderr
    pipe = os.dup(2)
    os.dup2(captured._original_stdstream_copy, 2)
    plain = sys.stderr = open(2, "w", closefd=False, errors="replace")  # noqa: SIM115
    try:
        yield
    finally:
        plain.flush()
        sys.stderr = captured
        os.dup2(pipe, 2)
        os.close(pipe)


def _exit(code: Any = None) -> None:
    """End this cell."""
    raise SystemExit(code)


def _join_user_packages() -> None:
    import site

    site.ENABLE_USER_SITE = True
    folder = site.getusersitepackages()
    if os.path.isdir(folder):
        before = set(sys.path)
        site.addsitedir(folder)
        added = [path for path in sys.path if path not in before]
        sys.path[:] = [path for path in sys.path if path in before]
        # Before the image's packages, as for any interpreter: a user's newer version wins.
        at = next((i for i, path in enumerate(sys.path) if path.endswith("site-packages")), len(sys.path))
        sys.path[at:at] = added


if __name__ == "__main__":
    main(sys.argv[1])
