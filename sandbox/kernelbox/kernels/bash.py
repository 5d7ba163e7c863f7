"""The Bash kernel. Started as a program: `python -I -m kernelbox.kernels.bash <connection file>`, or by `run` in a fork of the template process.

Its stdout and stderr are captured as a Python kernel's are (barrier_out_stream.py), and bash, with all that it starts, writes to them.

When the shell ends, by `exit`, `set -e` or a signal, its variables and functions are gone. The kernel then ends too, as the shell did, and does not
reply: so the one mechanism for kernels that end tells the truth about it, in this very execution (`died`, `exited` with the code, or `killed` or
`out_of_memory`), and starts a new one. The error `ShellExited` is sent before.
"""

import os
import signal
import sys
import threading
from typing import Any

from . import start

_CLOSE_S = 3.0


def main(connection_file: str) -> None:
    start.prepare("bash-kernel")
    start.leave_out_debugger()
    run(connection_file)


def run(connection_file: str) -> None:
    """Serves until the kernel's end. The process is prepared (start.py)."""
    from tornado.ioloop import IOLoop

    from .bash_kernel import BashKernel
    from .serving import ServingApp

    app = ServingApp.instance(
        kernel_class=BashKernel,
        outstream_class="kernelbox.kernels.barrier_out_stream.BarrierOutStream",
        connection_file=connection_file,
    )
    app.initialize([])
    kernel: Any = app.kernel
    kernel._execute_sleep = 0
    kernel.start_shell()
    # Its end between two cells: nobody waits for it then.
    IOLoop.current().add_handler(kernel.shell_process.descriptor, lambda _descriptor, _events: kernel.leave(), IOLoop.READ)
    app.start()

    end = kernel.shell_process.end()
    # What was said last is sent, unless nobody takes it.
    threading.Timer(_CLOSE_S, os._exit, (end.code,)).start()
    app.close()
    if kernel.has_left and end.signal:
        signal.signal(end.signal, signal.SIG_DFL) if end.signal not in (signal.SIGKILL, signal.SIGSTOP) else None
        os.kill(os.getpid(), end.signal)
    os._exit(end.code if kernel.has_left else 0)


if __name__ == "__main__":
    main(sys.argv[1])
