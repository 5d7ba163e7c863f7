"""What every kernel of ours does to its sockets and messages: nothing is lost to a slow reader, and nothing grows without a bound."""

import json
import threading
from typing import Any

import zmq
from ipykernel.kernelapp import IPKernelApp
from jupyter_client.jsonutil import json_default

_BACKLOG = 256
_HIGH_WATER_MARK = 32
_ERROR_CHARACTERS = 64 * 1024
_TRACEBACK_LINES = 500
# All values of one message: 16 MiB of a picture as base64, and its other forms.
_BUNDLE_BYTES = 30_000_000


class ServingApp(IPKernelApp):
    """A kernel's application whose output holds the code back instead of being dropped."""

    def _bind_socket(self, socket: Any, port: int) -> int:
        if socket.type == zmq.XPUB:
            # A slow reader holds the kernel back; by default messages above the mark are dropped, `idle` among them.
            socket.setsockopt(zmq.XPUB_NODROP, 1)
            socket.setsockopt(zmq.SNDHWM, _HIGH_WATER_MARK)
        return int(super()._bind_socket(socket, port))

    def init_iopub(self, context: Any) -> None:
        super().init_iopub(context)
        _bound_backlog(self.iopub_thread)

    def initialize(self, argv: list[str] | None = None) -> None:
        super().initialize(argv)
        _bound_messages(self.session)
        _send_any_text(self.session)

    def parse_command_line(self, argv: list[str] | None = None) -> None:
        """There is none; making a parser for it would cost a fork a sixth of its start."""

    def load_config_file(self, suppress_errors: bool | None = True) -> None:
        """The settings are ours: no file that code left changes what the next kernel is."""


def _bound_backlog(thread: Any) -> None:
    """What display() publishes waits in a queue without a bound; a loop of it would fill the memory while the reader is slow."""
    schedule = thread.schedule

    def bounded(action: Any) -> None:
        if len(thread._events) >= _BACKLOG and threading.current_thread() is not thread.thread:
            reached = threading.Event()
            schedule(reached.set)
            reached.wait(10)
        schedule(action)

    thread.schedule = bounded


def _bound_messages(session: Any) -> None:
    """A message that is larger than the other side takes would cost the connection, and with it the cell's end."""
    send = session.send

    def bounded(stream: Any, msg_or_type: Any, content: Any = None, *args: Any, **options: Any) -> Any:
        inner = msg_or_type.get("content") if isinstance(msg_or_type, dict) else content
        if isinstance(inner, dict):
            _bound_content(inner)
        return send(stream, msg_or_type, content, *args, **options)

    session.send = bounded


def _send_any_text(session: Any) -> None:
    """Half of a surrogate pair, as odd file names and cut texts have it, cannot be sent as UTF-8; as JSON's escape it can."""
    pack = session.pack

    def packed(value: Any) -> bytes:
        try:
            return bytes(pack(value))
        except UnicodeEncodeError:
            return json.dumps(value, default=json_default, allow_nan=False).encode()

    session.pack = packed


def _bound_content(content: dict[str, Any]) -> None:
    if isinstance(content.get("evalue"), str):
        content["evalue"] = content["evalue"][:_ERROR_CHARACTERS]
    if isinstance(content.get("traceback"), list):
        content["traceback"] = [line[:_ERROR_CHARACTERS] for line in content["traceback"][:_TRACEBACK_LINES] if isinstance(line, str)]
    if "payload" in content:
        # For a notebook's pager and next cell; nobody here reads it.
        content["payload"] = []
    if isinstance(content.get("data"), dict):
        left = _BUNDLE_BYTES
        for kind, value in content["data"].items():
            size = _json_bytes(value)
            if size > left:
                # The supervisor takes no such mark as a value, and counts what it stands for as left out.
                content["data"][kind] = {"$omitted": size}
            else:
                left -= size


def _json_bytes(value: Any) -> int:
    try:
        return len(json.dumps(value, default=str, ensure_ascii=False).encode("utf-8", "replace"))
    except (TypeError, ValueError, RecursionError):
        # It cannot be sent either, which is for whoever sends to say.
        return 0
