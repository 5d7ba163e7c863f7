"""What a registry says of an npm package, cut to the versions that are there: Deno chooses among what it reads, and could get no other."""

import re
from typing import Any

PACKAGE_NAME = re.compile(r"(@[A-Za-z0-9~_-][A-Za-z0-9~_.-]{0,99}/)?[A-Za-z0-9~_-][A-Za-z0-9~_.-]{0,213}")
PACKAGE_VERSION = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+([+-][A-Za-z0-9.+-]{1,100})?")
# Deno asks again, over the network, where it does not know when a version came out; what it could be too young for is decided already.
_LONG_AGO = "2000-01-01T00:00:00.000Z"

Answer = dict[str, Any]


def only(answer: Answer, wanted: set[str]) -> Answer:
    """The answer with these versions alone."""
    versions = {version: about for version, about in answer["versions"].items() if version in wanted}
    if len(versions) != len(wanted):
        raise KeyError("a version that the registry does not name")
    tags = {tag: version for tag, version in answer.get("dist-tags", {}).items() if version in wanted}
    known = answer.get("time")
    times = {version: known.get(version, _LONG_AGO) if isinstance(known, dict) else _LONG_AGO for version in wanted}
    return {"name": answer["name"], "versions": versions, "dist-tags": tags, "time": times}


def joined(known: Answer, new: Answer) -> Answer:
    """Both, the newer's tags first."""
    told = {**new, "versions": {**known.get("versions", {}), **new["versions"]}}
    told["dist-tags"] = {**known.get("dist-tags", {}), **new.get("dist-tags", {})}
    told["time"] = {**known.get("time", {}), **new.get("time", {})}
    return told
