"""`python -I -m kernelbox.egress`: takes one policy from stdin, runs squid under it, and tells on stdout, one JSON object a line, when squid takes
connections and what became of each request. It ends with its stdin. As it is PID 1, squid ends with it.
"""

import json
import os
import select
import signal
import tempfile
import threading
import time
from collections import deque
from typing import Any, NoReturn

from .. import limits
from .access_log import request_event
from .policy import Policy, PolicyError, parse_policy
from .squid import Squid, write_files

EXIT_OK = 0
EXIT_SQUID = 1
EXIT_POLICY = 2


def main() -> None:
    # As PID 1 it would not end by a signal otherwise.
    signal.signal(signal.SIGTERM, lambda *_: end(EXIT_OK, "terminated"))
    try:
        policy = parse_policy(_read_line(0, limits.EGRESS_POLICY_S))
    except PolicyError as error:
        end(EXIT_POLICY, "policy", said=str(error)[: limits.EGRESS_SAID_BYTES])
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    path = write_files(policy, tempfile.mkdtemp(prefix="kernelbox-egress-"))
    starts: deque[float] = deque(maxlen=limits.EGRESS_STARTS)
    while True:
        starts.append(time.monotonic())
        said = _run(policy, path)
        if len(starts) == limits.EGRESS_STARTS and time.monotonic() - starts[0] < limits.EGRESS_STARTS_S:
            end(EXIT_SQUID, "squid", said=said)


def _run(policy: Policy, path: str) -> str:
    """Follows one squid to its end; its last words."""
    squid = Squid(path)
    if squid.wait_until_ready(policy):
        tell({"event": "ready"})
        # A line that is longer than that is none of the log's: its pieces are left out.
        while line := squid.log.readline(limits.EGRESS_LINE_BYTES):
            if (event := request_event(line.rstrip(b"\n"))) is not None:
                tell(event)
    squid.kill()
    return squid.ended()[1]


def _read_line(fd: int, seconds: float) -> bytes:
    """The first line; what follows it means nothing."""
    deadline = time.monotonic() + seconds
    line = bytearray()
    while b"\n" not in line:
        if not select.select([fd], [], [], max(0.0, deadline - time.monotonic()))[0]:
            raise PolicyError(f"no policy came within {seconds:g} s")
        piece = os.read(fd, 65_536)
        line += piece
        if not piece or len(line) > limits.EGRESS_POLICY_BYTES:
            raise PolicyError("the policy is too long, or its line has no end")
    return bytes(line.partition(b"\n")[0])


def _end_with_stdin() -> None:
    while os.read(0, 65_536):
        pass
    end(EXIT_OK, "stdin")


def tell(event: dict[str, Any]) -> None:
    data = json.dumps(event, separators=(",", ":")).encode() + b"\n"
    try:
        while data:
            data = data[os.write(1, data) :]
    except OSError:
        # Nobody listens, so nobody would know what goes out.
        os._exit(EXIT_OK)


def end(code: int, why: str, **more: str) -> NoReturn:
    # The end is not held up by somebody who does not read.
    threading.Thread(target=tell, args=({"event": "ended", "why": why, **more},), daemon=True).start()
    time.sleep(0.1)
    os._exit(code)


if __name__ == "__main__":
    main()
