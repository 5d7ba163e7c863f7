"""Where a kernel listens, and the file that tells it so."""

import contextlib
import json
import os
import secrets
import socket
import tempfile
from dataclasses import dataclass
from typing import Literal

_CHANNELS = ("shell", "iopub", "stdin", "control", "hb")

Transport = Literal["ipc", "tcp"]


@dataclass
class Connection:
    """A folder of its own for the file and, with `ipc`, the sockets. With `tcp` the kernel listens on the sandbox's own loopback."""

    transport: Transport
    folder: str
    key: bytes
    ports: dict[str, int]

    @classmethod
    def make(cls, transport: Transport) -> "Connection":
        """Raises OSError where there is no room for it."""
        folder = tempfile.mkdtemp(prefix=".kernel-", dir="/tmp")
        ports = {name: at + 1 for at, name in enumerate(_CHANNELS)} if transport == "ipc" else _free_ports()
        connection = cls(transport, folder, secrets.token_hex(16).encode(), ports)
        try:
            # Never through what other code of the same uid may have put there: a FIFO, a link.
            with open(connection.path, "x") as file:
                json.dump(connection._json(), file)
        except OSError:
            connection.remove()
            raise
        return connection

    @property
    def path(self) -> str:
        return f"{self.folder}/connection.json"

    def address(self, channel: str) -> str:
        return f"ipc://{self._socket(channel)}" if self.transport == "ipc" else f"tcp://127.0.0.1:{self.ports[channel]}"

    def remove(self) -> None:
        """Our own files, each by its name: code may have put a million others there, and removing those would take us a while."""
        for path in (self.path, *map(self._socket, self.ports)):
            with contextlib.suppress(OSError):
                os.unlink(path)
        with contextlib.suppress(OSError):
            os.rmdir(self.folder)

    def _socket(self, channel: str) -> str:
        return f"{self.folder}/k-{self.ports[channel]}"

    def _json(self) -> dict[str, str | int]:
        return {
            "transport": self.transport,
            "ip": f"{self.folder}/k" if self.transport == "ipc" else "127.0.0.1",
            "key": self.key.decode(),
            "signature_scheme": "hmac-sha256",
            "kernel_name": "kernelbox",
            **{f"{name}_port": port for name, port in self.ports.items()},
        }


def _free_ports() -> dict[str, int]:
    """Ports that were free a moment ago, each another one."""
    with contextlib.ExitStack() as stack:
        ports = {}
        for name in _CHANNELS:
            listener = stack.enter_context(socket.socket())
            listener.bind(("127.0.0.1", 0))
            ports[name] = listener.getsockname()[1]
        return ports
