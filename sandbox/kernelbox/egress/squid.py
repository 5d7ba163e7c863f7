"""One run of squid."""

import contextlib
import os
import socket
import subprocess
import threading
import time

from .. import limits
from .configuration import configuration
from .policy import Policy
from .refusals import pages

PROGRAM = "/opt/squid/squid"
# Its libraries are beside it, so that they are nobody else's.
ENVIRONMENT = {"LD_LIBRARY_PATH": "/opt/squid/lib", "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}


def write_files(policy: Policy, folder: str) -> str:
    """Writes what squid reads, and gives the path of its configuration."""
    os.mkdir(f"{folder}/errors")
    for name, text in pages().items():
        _write(f"{folder}/errors/{name}", text)
    path = f"{folder}/squid.conf"
    _write(path, configuration(policy, folder))
    return path


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


class Squid:
    """Its stdout is its log; what it says on stderr is kept, as much as helps."""

    def __init__(self, configuration_path: str) -> None:
        self._process = subprocess.Popen(
            # -N: no other processes; -d 0: what is critical goes to stderr.
            [PROGRAM, "-N", "-d", "0", "-f", configuration_path],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=ENVIRONMENT,
            cwd="/",
        )
        assert self._process.stdout is not None and self._process.stderr is not None
        self.log = self._process.stdout
        self._said = b""
        self._listener = threading.Thread(target=self._listen, args=(self._process.stderr.fileno(),), daemon=True)
        self._listener.start()

    def wait_until_ready(self, policy: Policy) -> bool:
        """Whether it takes connections in time."""
        deadline = time.monotonic() + limits.EGRESS_START_S
        while time.monotonic() < deadline and self._process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection((str(policy.address), policy.port), 1.0):
                return True
            time.sleep(limits.EGRESS_LOOK_S)
        return False

    def kill(self) -> None:
        self._process.kill()

    def ended(self) -> tuple[int, str]:
        """Its exit code, and its last words in printable ASCII."""
        code = self._process.wait()
        self._listener.join(1.0)
        return code, self._said.decode("ascii", "replace").encode("ascii", "replace").decode().strip()

    def _listen(self, fd: int) -> None:
        while piece := os.read(fd, 4_096):
            self._said = (self._said + piece)[-limits.EGRESS_SAID_BYTES :]
