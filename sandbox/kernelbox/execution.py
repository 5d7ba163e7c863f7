"""One piece of code that runs, or waits its turn, in a context."""

import time
from dataclasses import dataclass, field
from typing import Any

from . import changed_files, limits, mime
from .changed_files import Snapshot
from .errors import RequestError, from_os_error
from .event_log import EventLog, now
from .kernel_client import REFUSED, Message
from .paths import HOME

Json = dict[str, Any]

_COUNT_MAX = 2**53
# The protocol's word, and IRkernel's.
_ABORTED = ("aborted", "abort")
_DISPLAYS = frozenset({"display_data", "update_display_data", "execute_result"})


@dataclass(eq=False)
class Execution:
    """Turns the kernel's messages into events, and knows when it is done: both the reply and `idle` have come, in whichever order."""

    execution_id: str
    context_id: str
    code: str
    timeout_s: float
    env: dict[str, str]
    log: EventLog
    state: str = "queued"
    stopping: str | None = None
    reply: Json | None = None
    is_idle: bool = False
    has_error: bool = False
    unsaid: Json | None = None
    message_id: str = ""
    started_at: str = ""
    started: float = 0.0
    ended: float = 0.0
    notices: list[str] = field(default_factory=list)
    files_before: Snapshot | None = None

    @property
    def is_ended(self) -> bool:
        return self.state not in ("queued", "running")

    @property
    def is_complete(self) -> bool:
        return self.reply is not None and self.is_idle

    @property
    def execution_count(self) -> int | None:
        return _count((self.reply or {}).get("execution_count"))

    def start(self, incarnation: int, loss: Json | None, stops_at: str) -> None:
        self.state = "running"
        self.started = time.monotonic()
        self.started_at = now()
        data = {"state": "running", "incarnation": incarnation, "execution_count": None, "loss": loss, "stops_at": stops_at}
        self.log.append("status", data)

    def output(self, message: Message) -> None:
        if self.is_ended and self.log.is_full:
            # Late, and nobody took what was late before it.
            return
        content = message.content
        if REFUSED in content:
            self.notices.append(f"An output of {content[REFUSED]} bytes has too many values to be taken.")
        elif message.kind == "stream":
            self._stream(content)
        elif message.kind in _DISPLAYS:
            self._display(message)
        elif message.kind == "error":
            self._error(content)
        elif message.kind == "clear_output":
            self.log.append("clear_output", {"wait": content.get("wait") is True})
        elif message.kind == "status" and content.get("execution_state") == "idle":
            self.is_idle = True

    def take_reply(self, content: Json) -> None:
        """The reply is the truth: a kernel may send no `error` message, for an ExceptionGroup, say."""
        # No more of it is needed, and code can make it as large as a message may be.
        self.reply = {name: content.get(name) for name in ("status", "execution_count")}
        if content.get("status") == "error":
            # Its message may still be on its way, by the other socket.
            self.unsaid = {name: content.get(name) for name in ("ename", "evalue", "traceback")}
        elif content.get("status") in _ABORTED and not self.stopping:
            self.unsaid = {"ename": "Interrupted", "evalue": "The code was interrupted by a signal."}

    def finish(self, state: str, incarnation: int, *, variables: str, reason: str | None, death: Json | None = None) -> None:
        if self.unsaid is not None and not self.has_error:
            self._error(self.unsaid)
        self.state = state
        self.ended = time.monotonic()
        # It is kept for a server that comes back, which asks for its events only.
        self.code, self.env, self.files_before, self.unsaid = "", {}, None, None
        data: Json = {
            **(death or {}),
            "state": state,
            "incarnation": incarnation,
            "execution_count": self.execution_count,
            "duration_ms": round((self.ended - self.started) * 1000, 3) if self.started else 0,
            "started_at": self.started_at or now(),
            "variables": variables,
            "reason": reason,
            "notices": self.notices,
        }
        self.log.finish(data)

    def look_at_files(self) -> None:
        self.files_before = changed_files.look(HOME)

    def report_files(self) -> None:
        """The files of the workspace that were written since it was looked at."""
        before = self.files_before
        if before is None:
            return
        after = changed_files.look(HOME)
        if not (before.is_complete and after.is_complete):
            self.notices.append("The workspace has too many files to tell which of them changed.")
            return
        changed, more = changed_files.changes(before, after)
        for file in changed:
            self.log.append("file", file)
        if more:
            self.notices.append(f"{more} more changed files are not told one by one; use list_directory.")

    def fail_to_start(self, error: Exception) -> None:
        refusal = error if isinstance(error, RequestError) else from_os_error(error) if isinstance(error, OSError) else None
        why = type(error).__name__ if refusal is None else refusal.message
        words = (refusal.details or {}).get("last_words", "") if refusal is not None else ""
        self.fail("KernelStartError", f"The kernel would not start: {why}.", str(words))

    def fail(self, name: str, value: str, traceback: str) -> None:
        self.has_error = True
        self.log.append("error", {"name": name, "value": value, "traceback": [traceback] if traceback else []})

    def _stream(self, content: Json) -> None:
        name, text = content.get("name"), content.get("text")
        if name not in ("stdout", "stderr") or not isinstance(text, str):
            return
        late = {"late": True} if self.is_ended else {}
        for at in range(0, len(text), limits.STREAM_CHARACTERS):
            self.log.append("stream", {"name": name, "text": text[at : at + limits.STREAM_CHARACTERS], **late})

    def _display(self, message: Message) -> None:
        bundle, metadata, attachments = mime.pack(message.content.get("data"), message.content.get("metadata"))
        data: Json = {"mime": bundle, "metadata": metadata}
        transient = message.content.get("transient")
        display_id = transient.get("display_id") if isinstance(transient, dict) else None
        if isinstance(display_id, str):
            data["display_id"] = display_id[:256]
        if message.kind == "execute_result":
            data["execution_count"] = _count(message.content.get("execution_count"))
        self.log.append(message.kind, data, attachments)

    def _error(self, content: Json) -> None:
        self.has_error = True
        lines = content.get("traceback")
        traceback = [str(line)[: limits.ERROR_CHARACTERS] for line in lines[: limits.TRACEBACK_LINES]] if isinstance(lines, list) else []
        while sum(map(len, traceback)) > limits.ERROR_CHARACTERS:
            del traceback[len(traceback) // 2]
        data: Json = {
            "name": str(content.get("ename", ""))[:1_000],
            "value": str(content.get("evalue", ""))[: limits.ERROR_CHARACTERS],
            "traceback": traceback,
        }
        if self.stopping:
            data["after_stop"] = True
        self.log.append("error", data)


def _count(value: Any) -> int | None:
    """Code can set its kernel's count to anything; a server takes plain numbers that its own kind of number can hold."""
    return value if type(value) is int and 0 <= value < _COUNT_MAX else None
