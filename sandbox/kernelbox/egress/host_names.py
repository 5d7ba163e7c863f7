"""Which names an allowlist may hold."""

import re

from .. import limits

# A label as the DNS has it, and the underscore that some names have. Nothing in it means anything to squid, in a list or in a pattern.
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
# A host whose last label is a number is an address to some reader or other: 127.1, 0x7f000001, 017700000001, 2130706433.
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


def host_rule(text: object) -> str:
    """A name, or *. and a name for all names below it, in lower case; ValueError where it is neither."""
    if not isinstance(text, str):
        raise ValueError("a host must be a text")
    rule = text.lower() if text.isascii() else text
    name = rule.removeprefix("*.")
    labels = name.split(".")
    if len(name) > limits.HOST_CHARACTERS or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError("a host must be a name such as example.com, or *.example.com for all names below it")
    if _NUMBER.fullmatch(labels[-1]):
        raise ValueError("a host must be a name, and not an address")
    return rule
