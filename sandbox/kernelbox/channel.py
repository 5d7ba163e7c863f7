"""The byte stream to the server: attaching, epochs, requests."""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from typing import Any

from . import frames, limits
from .errors import RequestError, from_os_error
from .frames import Decoder, Frame
from .lease import Lease
from .outbox import Outbox
from .transfer import Transfer

Json = dict[str, Any]
Handler = Callable[[str, Json, Transfer], Awaitable[Json | None]]


class Channel:
    """Serves one server at a time: the one with the greatest epoch."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        in_fd: int,
        out_fd: int,
        *,
        handler: Handler,
        hello: Callable[[], Json],
        on_attach: Callable[[], None],
        lease: Lease,
    ) -> None:
        self._loop = loop
        self._in_fd = in_fd
        self._handler = handler
        self._hello = hello
        self._on_attach = on_attach
        self._lease = lease
        self._decoder = Decoder()
        self._epoch = 0
        self._requests: dict[int, tuple[asyncio.Task[None], Transfer]] = {}
        self._unfinished: dict[int, bytearray] = {}
        self.outbox = Outbox(loop, out_fd)
        self.is_attached = False
        os.set_blocking(in_fd, False)
        loop.add_reader(in_fd, self._readable)

    @property
    def epoch(self) -> int:
        return self._epoch

    def send_event(self, message: bytes, *, hold: bool) -> None:
        if self.is_attached:
            self.outbox.bulk(frames.encode_message(frames.EVENT, 0, message), hold=hold)

    def _readable(self) -> None:
        try:
            chunk = os.read(self._in_fd, limits.READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            chunk = b""
        if not chunk:
            # The engine closed our stdin for good: no server can ever come back, and the lease ends the rest.
            self._loop.remove_reader(self._in_fd)
            return
        for frame in self._decoder.push(chunk):
            self._handle(frame)

    def _handle(self, frame: Frame) -> None:
        if frame.kind == frames.ATTACH:
            self._attach(frame.payload)
            return
        if not self.is_attached:
            return
        self._lease.renew()
        match frame.kind:
            case frames.PING:
                self.outbox.control(frames.encode(frames.PONG, 0, frame.payload[:8]))
            case frames.REQUEST:
                self._take_request(frame)
            case frames.DATA | frames.END | frames.CREDIT | frames.ABORT:
                task, transfer = self._requests.get(frame.stream, (None, None))
                if task is None or transfer is None:
                    return
                if frame.kind == frames.DATA:
                    transfer.data(frame.payload)
                elif frame.kind == frames.END:
                    transfer.end()
                elif frame.kind == frames.CREDIT:
                    transfer.credit(int.from_bytes(frame.payload[:4], "big"))
                else:
                    task.cancel()

    def _attach(self, payload: bytes) -> None:
        try:
            attach = json.loads(payload)
            epoch = int(attach["epoch"])
            nonce = bytes.fromhex(attach["nonce"])
            protocol = int(attach["protocol"])
            lease_s = float(attach["lease_s"])
        except (ValueError, KeyError, TypeError, OverflowError):
            return
        if epoch <= self._epoch or len(nonce) != 16:
            return
        self._epoch = epoch
        self._lease.set(lease_s)
        for task, _ in self._requests.values():
            task.cancel()
        self._requests.clear()
        self._unfinished.clear()
        self.outbox.clear()
        self.is_attached = protocol == limits.PROTOCOL_VERSION
        hello = {"protocol": limits.PROTOCOL_VERSION, "epoch": epoch, **self._hello()}
        self.outbox.control(frames.encode(frames.HELLO, 0, nonce + _dump(hello)))
        if self.is_attached:
            self._on_attach()

    def _take_request(self, frame: Frame) -> None:
        """Code can be longer than a frame: its request comes in several, and others may come between."""
        if not frame.has_more and frame.stream not in self._unfinished:
            self._request(frame)
            return
        message = self._unfinished.setdefault(frame.stream, bytearray())
        message += frame.payload
        if not frame.has_more:
            del self._unfinished[frame.stream]
            self._request(Frame(frame.kind, frame.stream, bytes(message)))
        elif sum(map(len, self._unfinished.values())) > limits.MESSAGE_BYTES:
            self._unfinished.clear()

    def _request(self, frame: Frame) -> None:
        transfer = Transfer(frame.stream, self.outbox)
        if frame.stream != 0 and len(self._requests) >= limits.OPEN_REQUESTS:
            error = RequestError("limit_exceeded", "too many requests are open")
            self._respond(transfer, {"error": error.as_json()})
            return
        task = self._loop.create_task(self._serve(frame, transfer))
        if frame.stream != 0:
            self._requests[frame.stream] = (task, transfer)
            task.add_done_callback(lambda task: self._answer_unbegun(task, transfer))

    def _answer_unbegun(self, task: asyncio.Task[None], transfer: Transfer) -> None:
        """A request that was given up before it had begun has no code that could answer it."""
        if self._requests.get(transfer.stream, (None,))[0] is task:
            del self._requests[transfer.stream]
            self._respond(transfer, {"error": RequestError("cancelled", "the request was given up").as_json()})

    async def _serve(self, frame: Frame, transfer: Transfer) -> None:
        epoch = self._epoch
        answer: Json
        try:
            request = json.loads(frame.payload)
            method, params = request["method"], request.get("params") or {}
            answer = {"result": await self._handler(method, params, transfer) or {}}
        except RequestError as error:
            answer = {"error": error.as_json()}
        except OSError as error:
            answer = {"error": from_os_error(error).as_json()}
        except asyncio.CancelledError:
            answer = {"error": RequestError("cancelled", "the request was given up").as_json()}
        except (KeyError, TypeError, ValueError) as error:
            answer = {"error": RequestError("invalid_argument", f"the request is malformed: {type(error).__name__}").as_json()}
        except Exception as error:  # noqa: BLE001  a bug of ours must cost one request, not the sandbox
            answer = {"error": RequestError("internal", f"the supervisor failed: {type(error).__name__}: {error}").as_json()}
        if epoch == self._epoch:
            self._requests.pop(frame.stream, None)
            if frame.stream != 0:
                self._respond(transfer, answer)

    def _respond(self, transfer: Transfer, answer: Json) -> None:
        message = frames.encode_message(frames.RESPONSE, transfer.stream, _dump(answer))
        if transfer.has_sent or len(message) > 1:
            # Behind its own data, and never between the frames of another message of the same stream.
            self.outbox.bulk(message)
        else:
            self.outbox.control(message[0])


def _dump(value: Json) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")
