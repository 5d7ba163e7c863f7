"""What Deno says of why it failed, as a code."""

import re

from .failure import FetchError

_HOST = re.compile(r"https?://(?:[^/@\s]*@)?([A-Za-z0-9.-]{1,255})")
_NAME = r"'((?:@[A-Za-z0-9~_.-]{1,100}/)?[A-Za-z0-9~_.-]{1,214})'"
_NOT_THERE = re.compile(rf"npm package {_NAME} does not exist")
_NO_VERSION = re.compile(rf"Could not find npm package {_NAME} matching|Could not find dist-tag '[^']*' for npm package {_NAME}")
_REFUSED = re.compile(r"unsuccessful tunnel|tunnel error|Forbidden|status code:? 403|407 Proxy", re.IGNORECASE)
_NETWORK = re.compile(r"error sending request|client error|dns error|timed out|connection", re.IGNORECASE)
_STATUS = re.compile(r"Bad response: (\d{3})|status code:? (\d{3})|HTTP (\d{3})")


def failure(said: str) -> FetchError:
    if "No space left on device" in said or "os error 28" in said:
        return FetchError("disk_full")
    found = _NOT_THERE.search(said)
    if found is not None:
        return FetchError("not_found", name=found[1])
    found = _NO_VERSION.search(said)
    if found is not None:
        return FetchError("no_version", name=found[1] or found[2], versions=[], left_out=0)
    errors = "\n".join(line for line in said.splitlines() if not line.startswith("Download"))
    host = _HOST.search(errors)
    name = "" if host is None else host[1].lower()
    if _REFUSED.search(errors):
        return FetchError("refused", host=name)
    status = _STATUS.search(errors)
    if status is not None:
        return FetchError("index", status=int(next(group for group in status.groups() if group)))
    if _NETWORK.search(errors):
        return FetchError("network", host=name)
    return FetchError("failed")
