"""The Bash kernel's own class."""

import asyncio
import signal
import sys
from typing import Any

from ipykernel.kernelbase import Kernel

from .bash_shell import BashShell


class BashKernel(Kernel):
    implementation = "kernelbox-bash"
    implementation_version = "1"
    banner = "Bash"
    language_info = {"name": "bash", "mimetype": "text/x-sh", "file_extension": ".sh", "codemirror_mode": "shell"}  # noqa: RUF012

    has_left = False
    shell_process: BashShell

    def start_shell(self) -> None:
        """After the output is captured, and not before SIGINT has a handler: what is ignored now, bash would ignore for good."""
        signal.signal(signal.SIGINT, lambda _number, _frame: self.shell_process.interrupt())
        self.shell_process = BashShell()

    def pre_handler_hook(self) -> None:
        """ipykernel's would put its own handler of SIGINT in place of ours."""

    def post_handler_hook(self) -> None:
        """See pre_handler_hook."""

    def set_parent(self, ident: Any, parent: Any, channel: str = "shell") -> None:
        super().set_parent(ident, parent, channel)
        if channel == "shell":
            streams: Any = (sys.stdout, sys.stderr)
            for stream in streams:
                stream.set_parent(parent)

    async def execute_request(self, stream: Any, ident: Any, parent: Any) -> None:
        self.shell_process.expect()
        await super().execute_request(stream, ident, parent)

    async def do_execute(
        self,
        code: str,
        silent: bool,
        store_history: bool = True,
        user_expressions: Any = None,
        allow_stdin: bool = False,
        *,
        cell_meta: Any = None,
        cell_id: Any = None,
    ) -> dict[str, Any]:
        status = self.shell_process.run(code, _environment(cell_meta))
        # Before an error, as the shell would have it.
        streams: Any = (sys.stdout, sys.stderr)
        for stream in streams:
            stream.flush()
        if status is None:
            self._send_error("ShellExited", str(self.shell_process.end().status))
            self.leave()
            # No reply: see bash.py.
            await asyncio.Future()
        if status:
            error = self._send_error("ExitStatus", str(status))
            return {"status": "error", "execution_count": self.execution_count, **error}
        return {"status": "ok", "execution_count": self.execution_count, "payload": [], "user_expressions": {}}

    def leave(self) -> None:
        """The shell has ended; so does the kernel."""
        self.has_left = True
        self.io_loop.remove_handler(self.shell_process.descriptor)
        self.io_loop.stop()

    def _send_error(self, name: str, value: str) -> dict[str, Any]:
        error: dict[str, Any] = {"ename": name, "evalue": value, "traceback": []}
        self.send_response(self.iopub_socket, "error", error)
        return error


def _environment(metadata: Any) -> dict[str, str]:
    """Environment variables for one execution come in its metadata, so code is never changed to set them."""
    env = metadata.get("kernelbox_env") if isinstance(metadata, dict) else None
    if not isinstance(env, dict):
        return {}
    return {name: value for name, value in env.items() if isinstance(name, str) and isinstance(value, str)}
