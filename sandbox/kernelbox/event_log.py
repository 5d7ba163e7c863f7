"""The numbered events of one execution, kept for a server that is slow or that comes back."""

import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from . import limits

Json = dict[str, Any]


@dataclass(slots=True)
class _Kept:
    seq: int
    message: bytes


@dataclass(slots=True)
class _Waiting:
    kind: str
    data: Json
    attachments: bytes
    size: int


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class EventLog:
    """Numbers events and keeps them until they are acknowledged, in bounded memory.

    Past the bound the caller should stop reading (`is_full`); once `drop` was called, new events wait at the tail instead, the oldest of those are
    dropped and counted, and a `gap` event says what is missing.
    """

    def __init__(self, execution_id: str, context_id: str, send: Callable[[bytes, bool], None]) -> None:
        self._ids = {"execution_id": execution_id, "context_id": context_id}
        self._send = send
        self._kept: deque[_Kept] = deque()
        self.kept_bytes = 0
        self._acked = 0
        self._unacked_bytes = 0
        self._is_dropping = False
        self._tail: deque[_Waiting] = deque()
        self._tail_bytes = 0
        self._gap_events = 0
        self._gap_bytes = 0
        self.last = 0

    @property
    def is_dropping(self) -> bool:
        return self._is_dropping

    @property
    def is_full(self) -> bool:
        return self._unacked_bytes >= limits.UNACKED_BYTES or self.last - self._acked >= limits.UNACKED_EVENTS

    def append(self, kind: str, data: Json, attachments: bytes = b"", *, hold: bool = True) -> None:
        if self._is_dropping:
            size = len(attachments) + _size(data)
            self._tail.append(_Waiting(kind, data, attachments, size))
            self._tail_bytes += size
            while len(self._tail) > 1 and (self._tail_bytes > limits.TAIL_BYTES or len(self._tail) > limits.TAIL_EVENTS):
                oldest = self._tail.popleft()
                self._tail_bytes -= oldest.size
                self._gap_events += 1
                self._gap_bytes += oldest.size
            return
        self._number(kind, data, attachments, hold)

    def drop(self) -> None:
        """From now on the middle is dropped, and memory is bounded without anybody reading."""
        self._is_dropping = True

    def finish(self, data: Json) -> None:
        """The last event, whatever the bound."""
        self._leave_dropping()
        self._number("status", data, b"", hold=False)

    def acknowledge(self, seq: int) -> None:
        seq = min(seq, self.last)
        for kept in self._kept:
            if self._acked < kept.seq <= seq:
                self._unacked_bytes -= len(kept.message)
        self._acked = max(self._acked, seq)
        self._trim()
        if self._is_dropping and not self.is_full:
            self._leave_dropping()

    def replay(self, after: int) -> None:
        """Sends again what is kept behind that number."""
        for kept in self._kept:
            if kept.seq > after:
                self._send(kept.message, False)

    def _leave_dropping(self) -> None:
        self._is_dropping = False
        tail, self._tail, self._tail_bytes = self._tail, deque(), 0
        if self._gap_events:
            self._number("gap", {"events": self._gap_events, "bytes": self._gap_bytes}, b"", hold=True)
            self._gap_events = self._gap_bytes = 0
        for waiting in tail:
            self._number(waiting.kind, waiting.data, waiting.attachments, hold=True)

    def _number(self, kind: str, data: Json, attachments: bytes, hold: bool) -> None:
        self.last += 1
        event = {**self._ids, "seq": self.last, "timestamp": now(), "type": kind, "data": data}
        head = json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")
        message = len(head).to_bytes(4, "big") + head + attachments
        self._kept.append(_Kept(self.last, message))
        self.kept_bytes += len(message)
        self._unacked_bytes += len(message)
        self._trim()
        self._send(message, hold)

    def _trim(self) -> None:
        """Acknowledged events are kept too while there is room, for a server that lost its own copy."""
        while self._kept and self._kept[0].seq <= self._acked and self.kept_bytes > limits.UNACKED_BYTES:
            self.kept_bytes -= len(self._kept.popleft().message)


def _size(data: Json) -> int:
    text = data.get("text")
    return len(text) if isinstance(text, str) else len(json.dumps(data, default=str))
