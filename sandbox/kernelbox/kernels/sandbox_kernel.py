"""The Python kernel's own class."""

import os
from typing import Any, NoReturn

from ipykernel.ipkernel import IPythonKernel
from IPython.core.error import StdinNotImplementedError

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

    def raw_input(self, prompt: str = "") -> NoReturn:
        raise StdinNotImplementedError(_no_stdin("input"))

    def getpass(self, prompt: str = "", stream: Any = None, *, echo_char: str | None = None) -> NoReturn:
        raise StdinNotImplementedError(_no_stdin("getpass"))


def _no_stdin(name: str) -> str:
    return f"{name}() is not available: there is no stdin. Pass values as variables instead."
