"""The Python kernel's process: `python -I -m kernelbox.kernels.python <connection file>`.

It starts isolated (-I), so that nothing a user left in the workspace, `./numpy.py` or a `.pth` file, can run before or instead of what the kernel
itself is made of. The user's own packages and folder join the path afterwards.
"""

import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator
from typing import Any

_BAKED_MATPLOTLIB = "/opt/mpl"
_BACKLOG = 256
_HIGH_WATER_MARK = 32
_ERROR_CHARACTERS = 64 * 1024
_TRACEBACK_LINES = 500
# All values of one message: 16 MiB of a picture as base64, and its other forms.
_BUNDLE_BYTES = 30_000_000


def main(connection_file: str) -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    _take_memory_kills_first()
    _copy_baked_matplotlib()
    # ipykernel asks for it at every cell, and looking for one that can be written would fail on a full disk, even for what cleans it up.
    tempfile.tempdir = os.environ.get("TMPDIR", "/tmp")
    # 22 MB that nobody attaches to.
    sys.modules["debugpy"] = None  # type: ignore[assignment]

    import zmq
    from ipykernel.ipkernel import IPythonKernel
    from ipykernel.kernelapp import IPKernelApp
    from tornado.ioloop import IOLoop

    from .last_value import VALUE_TYPE, ValueFormatter
    from .variables import TellsVariables

    class SandboxKernel(TellsVariables, IPythonKernel):
        async def execute_request(self, stream: Any, ident: Any, parent: Any) -> None:
            """Environment variables for one execution come in its metadata, so code is never changed to set them."""
            env = parent.get("metadata", {}).get("kernelbox_env") or {}
            before = {name: os.environ.get(name) for name in env}
            try:
                os.environ.update(env)
                await super().execute_request(stream, ident, parent)
            finally:
                for name, value in before.items():
                    if value is None:
                        os.environ.pop(name, None)
                    else:
                        os.environ[name] = value

    class SandboxApp(IPKernelApp):
        def _bind_socket(self, socket: Any, port: int) -> int:
            if socket.type == zmq.XPUB:
                # A slow reader holds the kernel back; by default messages above the mark are dropped, `idle` among them.
                socket.setsockopt(zmq.XPUB_NODROP, 1)
                socket.setsockopt(zmq.SNDHWM, _HIGH_WATER_MARK)
            return int(super()._bind_socket(socket, port))

        def init_iopub(self, context: Any) -> None:
            super().init_iopub(context)
            _bound_backlog(self.iopub_thread)

    app = SandboxApp.instance(
        kernel_class=SandboxKernel,
        outstream_class="kernelbox.kernels.barrier_out_stream.BarrierOutStream",
    )
    app.config.HistoryManager.enabled = False
    app.config.IPCompleter.use_jedi = False
    app.initialize(["-f", connection_file])
    app.kernel._execute_sleep = 0
    _bound_messages(app.session)

    formatters = app.shell.display_formatter.formatters
    formatters[VALUE_TYPE] = ValueFormatter(parent=app.shell.display_formatter)
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


def _take_memory_kills_first() -> None:
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("1000")
    except OSError:
        pass


def _copy_baked_matplotlib() -> None:
    """The font cache was made with the image; the root is read-only, and without a writable folder it would be thrown away."""
    target = os.environ.get("MPLCONFIGDIR", "")
    if not target or os.path.isdir(target) or not os.path.isdir(_BAKED_MATPLOTLIB):
        return
    try:
        shutil.copytree(_BAKED_MATPLOTLIB, target)
    except OSError:
        pass


def _bound_backlog(thread: Any) -> None:
    """What display() publishes waits in a queue without a bound; a loop of it would fill the memory while the reader is slow."""
    schedule = thread.schedule

    def bounded(action: Any) -> None:
        if len(thread._events) >= _BACKLOG and threading.current_thread() is not thread.thread:
            reached = threading.Event()
            schedule(reached.set)
            reached.wait(10)
        schedule(action)

    thread.schedule = bounded


def _bound_messages(session: Any) -> None:
    """A message that is larger than the other side takes would cost the connection, and with it the cell's end."""
    send = session.send

    def bounded(stream: Any, msg_or_type: Any, content: Any = None, *args: Any, **options: Any) -> Any:
        inner = msg_or_type.get("content") if isinstance(msg_or_type, dict) else content
        if isinstance(inner, dict):
            _bound_content(inner)
        return send(stream, msg_or_type, content, *args, **options)

    session.send = bounded


def _bound_content(content: dict[str, Any]) -> None:
    if isinstance(content.get("evalue"), str):
        content["evalue"] = content["evalue"][:_ERROR_CHARACTERS]
    if isinstance(content.get("traceback"), list):
        content["traceback"] = [line[:_ERROR_CHARACTERS] for line in content["traceback"][:_TRACEBACK_LINES] if isinstance(line, str)]
    if "payload" in content:
        # For a notebook's pager and next cell; nobody here reads it.
        content["payload"] = []
    if isinstance(content.get("data"), dict):
        left = _BUNDLE_BYTES
        for kind, value in content["data"].items():
            size = _json_bytes(value)
            if size > left:
                # The supervisor takes no such mark as a value, and counts what it stands for as left out.
                content["data"][kind] = {"$omitted": size}
            else:
                left -= size


def _json_bytes(value: Any) -> int:
    try:
        return len(json.dumps(value, default=str, ensure_ascii=False).encode("utf-8", "replace"))
    except (TypeError, ValueError, RecursionError):
        # It cannot be sent either, which is for whoever sends to say.
        return 0


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
