"""The Python kernel's own class."""

import os
from typing import Any

from ipykernel.ipkernel import IPythonKernel

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
