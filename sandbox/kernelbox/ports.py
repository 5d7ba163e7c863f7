"""Which TCP ports somebody listens on in the sandbox, from /proc."""

import asyncio
from contextlib import suppress
from typing import Any

from . import limits
from .errors import RequestError

Json = dict[str, Any]

_LISTEN = "0A"


async def wait_for(params: Json, loop: asyncio.AbstractEventLoop) -> Json:
    """Until somebody listens on the port, or the time is up."""
    port = int(params["port"])
    if not 1 <= port <= 65_535:
        raise RequestError("invalid_argument", "a port is a number from 1 to 65535")
    deadline = loop.time() + min(float(params.get("wait_s") or 0), limits.PROCESS_WAIT_S)
    while not (is_open := port in listening()) and loop.time() < deadline:  # noqa: ASYNC110  nobody tells of a port
        await asyncio.sleep(limits.PORT_LOOK_S)
    return {"is_open": is_open}


def listening() -> set[int]:
    ports = set()
    for table in ("tcp", "tcp6"):
        with suppress(OSError), open(f"/proc/self/net/{table}") as lines:
            for line in lines:
                fields = line.split()
                if len(fields) > 3 and fields[3] == _LISTEN:
                    ports.add(int(fields[1].rpartition(":")[2], 16))
    return ports
