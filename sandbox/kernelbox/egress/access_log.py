"""One line of squid's log, made into what the server is told. All text in it came from the sandbox's code."""

import re
import urllib.parse
from typing import Any

from .. import limits
from .configuration import LOG_FIELDS
from .refusals import REFUSALS

_REASONS = {page.name: page.reason for page in REFUSALS}
# squid answered these itself, since they were no requests that it could carry out.
_BAD_REQUESTS = {"ERR_INVALID_REQ", "ERR_INVALID_URL", "ERR_UNSUP_REQ", "ERR_UNSUP_HTTPVERSION", "ERR_TOO_BIG", "ERR_PROTOCOL_UNKNOWN"}
_UNPRINTABLE = re.compile(r"[^\x21-\x7e]")
_NUMBER = re.compile(r"[0-9]{1,15}")


def request_event(line: bytes) -> dict[str, Any] | None:
    """None where nothing was asked for: a connection that was closed, or a line that is not one of the log."""
    fields = line.decode("ascii", "replace").split(" ")
    if len(fields) != LOG_FIELDS:
        return None
    method, host, port, status, done, page, error, size, duration = fields
    reason = _REASONS.get(page, "request" if error in _BAD_REQUESTS or "DENIED" in done else None)
    if method == "-" and reason is None:
        return None
    event: dict[str, Any] = {
        "event": "request",
        "method": _text(method, limits.EGRESS_METHOD_CHARACTERS),
        "host": _text(host, limits.EGRESS_HOST_CHARACTERS),
        "port": _number(port),
        "status": _number(status),
        "verdict": "allowed" if reason is None else "refused",
        "bytes": _number(size),
        "duration_ms": _number(duration),
    }
    if reason is not None:
        event["reason"] = reason
    return event


def _text(field: str, characters: int) -> str:
    """Printable ASCII without spaces; what is not is shown as a question mark. "" is squid's dash: none."""
    text = "" if field == "-" else urllib.parse.unquote(field, "ascii", "replace")
    return _UNPRINTABLE.sub("?", text)[:characters]


def _number(field: str) -> int:
    return int(field) if _NUMBER.fullmatch(field) else 0
