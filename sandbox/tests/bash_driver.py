"""Drives a Bash kernel that is started as the supervisor starts one."""

import os
import signal
import sys
import time
import unittest
from dataclasses import dataclass, field
from typing import Any

from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import KernelManager

_PROGRAM = [sys.executable, "-I", "-m", "kernelbox.kernels.bash", "{connection_file}"]


@dataclass
class Run:
    stdout: str = ""
    stderr: str = ""
    error: dict[str, Any] | None = None
    reply: dict[str, Any] = field(default_factory=dict)
    kinds: list[str] = field(default_factory=list)
    first_text_at: float = 0.0
    late: str = ""


class Bash:
    """A kernel as the supervisor starts one, and a client."""

    def __init__(self, env: dict[str, str] | None = None) -> None:
        self.manager = KernelManager(transport="ipc", ip=f"/tmp/bash-{os.getpid()}-{time.monotonic_ns()}")
        self.manager._kernel_spec = KernelSpec(argv=_PROGRAM)
        self.manager.start_kernel(env={**os.environ, **(env or {})})
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=20)

    @property
    def pid(self) -> int:
        return self.manager.provisioner.process.pid

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)

    def send(self, code: str, env: dict[str, str] | None = None) -> str:
        content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False, "stop_on_error": False}
        message = self.client.session.msg("execute_request", content, metadata={"kernelbox_env": env} if env else {})
        self.client.shell_channel.send(message)
        return message["header"]["msg_id"]

    def take(self, message_id: str, timeout: float = 10) -> Run:
        """Until both reply and idle have come, or the kernel has ended."""
        run = Run()
        deadline = time.monotonic() + timeout
        is_idle = False
        while not (is_idle and run.reply):
            if time.monotonic() > deadline:
                raise AssertionError(f"no end of it: {run}")
            if self.client.shell_channel.msg_ready():
                reply = self.client.get_shell_msg(timeout=1)
                if reply["parent_header"].get("msg_id") == message_id:
                    run.reply = reply["content"]
            wait = 0 if run.reply else 10
            if not self.client.iopub_channel.socket.poll(wait):
                if not run.reply and self.manager.provisioner.process.poll() is not None and not self.client.iopub_channel.socket.poll(100):
                    return run
                continue
            message = self.client.get_iopub_msg(timeout=1)
            kind, content = message["msg_type"], message["content"]
            if message["parent_header"].get("msg_id") != message_id:
                if kind == "stream":
                    run.late += content["text"]
                continue
            run.kinds.append(kind)
            if kind == "stream":
                run.first_text_at = run.first_text_at or time.monotonic()
                if content["name"] == "stdout":
                    run.stdout += content["text"]
                else:
                    run.stderr += content["text"]
            elif kind == "error":
                run.error = content
            elif kind == "status" and content["execution_state"] == "idle":
                is_idle = True
        return run

    def run(self, code: str, env: dict[str, str] | None = None, timeout: float = 10) -> Run:
        return self.take(self.send(code, env), timeout)

    def interrupted(self, code: str, after: float = 0.4) -> tuple[Run, float]:
        """What it gave, and how long after SIGINT it ended."""
        message_id = self.send(code)
        time.sleep(after)
        os.kill(self.pid, signal.SIGINT)
        sent = time.monotonic()
        run = self.take(message_id, 10)
        return run, time.monotonic() - sent


class BashCase(unittest.TestCase):
    bash: Bash

    @classmethod
    def setUpClass(cls) -> None:
        cls.bash = Bash()

    @classmethod
    def tearDownClass(cls) -> None:
        cls.bash.close()

    def says(self, code: str, stdout: str, **options: Any) -> Run:
        run = self.bash.run(code, **options)
        self.assertEqual(run.stdout, stdout, run)
        return run
