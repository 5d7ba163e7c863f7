"""MIME bundles of a kernel as events carry them: pictures as raw bytes, everything bounded."""

import base64
import binascii
import json
from typing import Any

from . import limits

Json = dict[str, Any]

_BINARY = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp", "application/pdf"})
_MARKERS = ("$attachment", "$omitted")
_METADATA_BYTES = 16 * 1024


def pack(bundle: Any, metadata: Any) -> tuple[Json, Json, bytes]:
    """The bundle with attachments in place of pictures, its metadata where small, and the attachments."""
    packed: Json = {}
    attachments = bytearray()
    if not isinstance(bundle, dict):
        return packed, {}, b""
    left = limits.BUNDLE_BYTES
    for kind, value in list(bundle.items())[: limits.MIME_TYPES]:
        if not isinstance(kind, str) or len(kind) > 128:
            continue
        if kind in _BINARY and isinstance(value, str):
            data = _decode(value)
            if data is None:
                continue
            if len(attachments) + len(data) > limits.ATTACHMENT_BYTES or len(data) > left:
                packed[kind] = {"$omitted": len(data)}
                continue
            packed[kind] = {"$attachment": [len(attachments), len(data)]}
            attachments += data
            left -= len(data)
            continue
        if isinstance(value, dict) and not value.keys().isdisjoint(_MARKERS):
            # Our own words: the kernel's, for what was too large to be sent, or code's, which may mean anything.
            packed[kind] = {"$omitted": _omitted(value)}
            continue
        size = _size(value)
        if size is None or size > min(left, limits.TEXT_BYTES):
            packed[kind] = {"$omitted": size or 0}
            continue
        packed[kind] = value
        left -= size
    size = _size(metadata) if isinstance(metadata, dict) else None
    known = metadata if size is not None and size <= _METADATA_BYTES else {}
    return packed, known, bytes(attachments)


def _omitted(value: Json) -> int:
    size = value.get("$omitted")
    return size if len(value) == 1 and type(size) is int and 0 <= size < 2**53 else 0


def _size(value: Any) -> int | None:
    """Bytes of a value as JSON; None where it is none that everybody can read: numbers that are none, or nested too deeply."""
    if _is_deeper_than(value, limits.JSON_DEPTH):
        return None
    try:
        return len(json.dumps(value, allow_nan=False, ensure_ascii=False).encode("utf-8", "replace"))
    except ValueError:
        return None


def _is_deeper_than(value: Any, levels: int) -> bool:
    layer = [value] if isinstance(value, (dict, list)) else []
    for _ in range(levels):
        children = (child for node in layer for child in (node.values() if isinstance(node, dict) else node))
        layer = [child for child in children if isinstance(child, (dict, list))]
        if not layer:
            return False
    return True


def _decode(text: str) -> bytes | None:
    try:
        return base64.b64decode(text)
    except (binascii.Error, ValueError):
        return None
