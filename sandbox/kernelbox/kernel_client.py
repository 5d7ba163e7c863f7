"""The kernel protocol (Jupyter messaging 5.x) from the client's side, over raw ZeroMQ sockets."""

import asyncio
import contextlib
import hashlib
import hmac
import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import zmq

from . import limits
from .connection import Connection
from .event_log import now

Json = dict[str, Any]

# What stands in for content that would cost too much to read: its bytes.
REFUSED = "$refused"
_DELIMITER = b"<IDS|MSG>"
_BATCH = 32
_BATCH_S = 0.005


@dataclass(slots=True)
class Message:
    kind: str
    parent_id: str
    content: Json
    metadata: Json


class KernelClient:
    """One DEALER to the shell, one SUB to the output, both drained from the event loop.

    There is one subscriber only, since a second one that nobody reads would hold the kernel back. While paused, nothing is read: ZeroMQ's small
    marks then stop the kernel's writes.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        connection: Connection,
        *,
        on_output: Callable[[Message], None],
        on_reply: Callable[[Message], None],
    ) -> None:
        self._loop = loop
        self._key = connection.key
        self._session = uuid.uuid4().hex
        self._on_output = on_output
        self._on_reply = on_reply
        self._context = zmq.Context.instance()
        self._shell = self._socket(zmq.DEALER, connection.address("shell"))
        self._iopub = self._socket(zmq.SUB, connection.address("iopub"))
        self._iopub.setsockopt(zmq.SUBSCRIBE, b"")
        self._control_address = connection.address("control")
        self._control: zmq.Socket[bytes] | None = None
        self._is_paused = False
        self._is_closed = False
        self._scheduled: set[zmq.Socket[bytes]] = set()
        for socket in (self._shell, self._iopub):
            loop.add_reader(socket.getsockopt(zmq.FD), self._readable, socket)
            self._schedule(socket)

    def _socket(self, kind: int, address: str) -> "zmq.Socket[bytes]":
        socket = self._context.socket(kind)
        socket.setsockopt(zmq.LINGER, 0)
        # The default of 100 ms is most of a start.
        socket.setsockopt(zmq.RECONNECT_IVL, 3)
        socket.setsockopt(zmq.RCVHWM, limits.HIGH_WATER_MARK)
        socket.setsockopt(zmq.MAXMSGSIZE, limits.KERNEL_MESSAGE_BYTES)
        socket.connect(address)
        return socket

    def send(self, kind: str, content: Json, metadata: Json | None = None) -> str:
        """Gives the message's id, which answers bear as their parent. OSError where the socket takes nothing."""
        message_id = self._send(self._shell, kind, content, metadata or {})
        # Sending may use up the edge that the descriptor signals readable messages with.
        self._schedule(self._shell)
        return message_id

    def interrupt(self) -> None:
        """By message, on a socket of its own that is made when it is first needed. Its answers say nothing and are left to the socket's end."""
        if self._is_closed:
            return
        if self._control is None:
            self._control = self._socket(zmq.DEALER, self._control_address)
        with contextlib.suppress(OSError):
            self._send(self._control, "interrupt_request", {}, {})

    def _send(self, socket: "zmq.Socket[bytes]", kind: str, content: Json, metadata: Json) -> str:
        message_id = uuid.uuid4().hex
        header = {
            "msg_id": message_id,
            "session": self._session,
            "username": "kernelbox",
            "date": now(),
            "msg_type": kind,
            "version": "5.4",
        }
        parts = [_dump(header), b"{}", _dump(metadata), _dump(content)]
        digest = hmac.new(self._key, digestmod=hashlib.sha256)
        for part in parts:
            digest.update(part)
        try:
            socket.send_multipart([_DELIMITER, digest.hexdigest().encode(), *parts], zmq.NOBLOCK)
        except zmq.ZMQError as error:
            raise OSError(error.errno, "the kernel's socket takes nothing") from None
        return message_id

    def pause(self) -> None:
        self._is_paused = True

    def resume(self) -> None:
        if self._is_paused:
            self._is_paused = False
            self._schedule(self._iopub)

    @property
    def is_paused(self) -> bool:
        return self._is_paused

    def close(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        for socket in (self._shell, self._iopub):
            self._loop.remove_reader(socket.getsockopt(zmq.FD))
            socket.close()
        if self._control is not None:
            self._control.close()

    def drain(self) -> None:
        """What a kernel that has ended left in our socket."""
        self._is_paused = False
        for _ in range(100_000):
            if self._is_closed or not self._take(self._iopub):
                return

    def _schedule(self, socket: "zmq.Socket[bytes]") -> None:
        if socket not in self._scheduled:
            self._scheduled.add(socket)
            self._loop.call_soon(self._readable, socket)

    def _readable(self, socket: "zmq.Socket[bytes]") -> None:
        self._scheduled.discard(socket)
        until = self._loop.time() + _BATCH_S
        for _ in range(_BATCH):
            if self._is_closed or (socket is self._iopub and self._is_paused):
                return
            if not self._take(socket):
                return
            if self._loop.time() > until:
                break
        # The descriptor signals edges only: what is left must be asked for, after others had their turn.
        self._schedule(socket)

    def _take(self, socket: "zmq.Socket[bytes]") -> bool:
        try:
            parts = socket.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            return False
        except zmq.ZMQError:
            return False
        message = _parse(parts)
        if message is not None:
            deliver = self._on_output if socket is self._iopub else self._on_reply
            try:
                deliver(message)
            except Exception:  # noqa: BLE001  a message that breaks what we assume costs itself: reading must go on
                pass
        return True


def _parse(parts: list[bytes]) -> Message | None:
    """A message, or None for what is none: user code can write to these sockets too."""
    try:
        at = parts.index(_DELIMITER)
        header, parent, metadata = (_load(part) for part in parts[at + 2 : at + 5])
        content = _load(parts[at + 5]) if _is_affordable(parts[at + 5]) else {REFUSED: len(parts[at + 5])}
        kind, parent_id = header["msg_type"], parent.get("msg_id", "")
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
        return None
    if not (isinstance(kind, str) and isinstance(parent_id, str) and isinstance(content, dict) and isinstance(metadata, dict)):
        return None
    return Message(kind, parent_id, content, metadata)


def _load(part: bytes) -> Any:
    """ipykernel sends names of files that are not UTF-8 as the bytes that they are."""
    return json.loads(part.decode("utf-8", "replace"))


def _is_affordable(part: bytes) -> bool:
    """Some bytes a value as text become a hundred as objects."""
    return len(part) < limits.MESSAGE_VALUES or part.count(b",") + part.count(b"[") + part.count(b"{") < limits.MESSAGE_VALUES


def _dump(value: Json) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
