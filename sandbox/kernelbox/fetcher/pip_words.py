"""What pip's log says of why it failed, as a code. Its lines hold names and versions of the index, so they are hostile and bounded."""

import re

from .. import limits
from .failure import FetchError

# Of an index without TLS, which pip leaves out as though it had nothing.
_INSECURE = re.compile(r"The repository located at ([A-Za-z0-9.-]{1,255}) is not a trusted or secure host")
# Said by pip_program.py.
BY_ADDRESS = "kernelbox: a package is needed by an address"
# The host only: what stands before it in an address may be a password.
_REFUSED = re.compile(r"Tunnel connection failed: (\d{3})")
_FETCHED = re.compile(r"Could not fetch URL https?://(?:[^/@\s]*@)?([A-Za-z0-9.-]{1,255})")
_POOL = re.compile(r"host='([A-Za-z0-9.-]{1,255})'")
_NETWORK = re.compile(
    r"connection error|ConnectionError|ConnectTimeout|ReadTimeout|Read timed out|NewConnectionError|NameResolutionError|ProxyError|SSLError"
    r"|ProtocolError"
)
_NOT_MATCHING = re.compile(r"Could not find a version that satisfies the requirement (\S{1,200}).*?\(from versions: ([^)]*)\)")
_STATUS = re.compile(r"Could not fetch URL \S+: (4\d\d|5\d\d) (?:Client|Server) Error|HTTP error (4\d\d|5\d\d) while getting")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def failure(log: str) -> FetchError:
    if "No space left on device" in log or "Disk quota exceeded" in log:
        return FetchError("disk_full")
    if BY_ADDRESS in log:
        return FetchError("by_address")
    lines = log.splitlines()
    refused = [line for line in lines if (found := _REFUSED.search(line)) is not None and found[1] == "403"]
    if refused:
        return FetchError("refused", host=_host(refused))
    if "The conflict is caused by" in log:
        return FetchError("conflict", lines=_conflict(lines))
    unreached = [line for line in lines if _NETWORK.search(line) is not None and "Retrying" not in line]
    statuses = [found for line in lines if (found := _STATUS.search(line)) is not None and "404" not in found.groups()]
    not_matching = _NOT_MATCHING.search(log)
    insecure = _INSECURE.search(log)
    if insecure is not None and not_matching is not None and not_matching[2] == "none":
        return FetchError("insecure", host=insecure[1].lower())
    if unreached and (not_matching is None or not_matching[2] == "none"):
        return FetchError("network", host=_host(unreached))
    if statuses:
        return FetchError("index", status=int(statuses[0][1] or statuses[0][2]))
    if not_matching is not None:
        return _no_match(not_matching, lines)
    return FetchError("failed")


def _no_match(found: re.Match[str], lines: list[str]) -> FetchError:
    match = _NAME.match(found[1])
    name = match[0] if match is not None else ""
    if found[2] != "none":
        versions = [version.strip() for version in found[2].split(",")]
        told = versions[-limits.FETCH_VERSIONS :]
        return FetchError("no_version", name=name, versions=told, left_out=len(versions) - len(told))
    skipped = [line for line in lines if "Skipping link: " in line and "not a file" not in line]
    if any("none of the wheel's tags" in line for line in skipped):
        return FetchError("no_wheel", name=name, only_source=False)
    if any("No sources permitted" in line for line in skipped):
        return FetchError("no_wheel", name=name, only_source=True)
    if skipped:
        return FetchError("no_version", name=name, versions=[], left_out=0)
    return FetchError("not_found", name=name)


def _host(lines: list[str]) -> str:
    for line in lines:
        found = _FETCHED.search(line) or _POOL.search(line)
        if found is not None:
            return found[1].lower()
    return ""


def _conflict(lines: list[str]) -> list[str]:
    """The requirements that exclude each other, in pip's words."""
    told = []
    for line in lines:
        # Each line of the log begins with its time.
        text = re.sub(r"^\S+\s?", "", line).strip()
        if " depends on " in text or "The user requested" in text:
            told.append(text[: limits.FETCH_TEXT_CHARACTERS])
    return list(dict.fromkeys(told))[: limits.FETCH_CONFLICTS]
