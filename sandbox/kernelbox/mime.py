"""MIME bundles of a kernel as events carry them: pictures as raw bytes, everything bounded."""

import base64
import binascii
import json
from typing import Any

from . import limits

Json = dict[str, Any]

_BINARY = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp", "application/pdf"})
_METADATA_BYTES = 16 * 1024


def pack(bundle: Any, metadata: Any) -> tuple[Json, Json, bytes]:
    """The bundle with attachments in place of pictures, its metadata where small, and the attachments."""
    packed: Json = {}
    attachments = bytearray()
    if not isinstance(bundle, dict):
        return packed, {}, b""
    for kind, value in list(bundle.items())[: limits.MIME_TYPES]:
        if not isinstance(kind, str) or len(kind) > 128:
            continue
        if kind in _BINARY and isinstance(value, str):
            data = _decode(value)
            if data is None:
                continue
            if len(attachments) + len(data) > limits.ATTACHMENT_BYTES:
                packed[kind] = {"$omitted": len(data)}
                continue
            packed[kind] = {"$attachment": [len(attachments), len(data)]}
            attachments += data
            continue
        size = len(value) if isinstance(value, str) else len(json.dumps(value))
        packed[kind] = value if size <= limits.ATTACHMENT_BYTES // 4 else {"$omitted": size}
    known = metadata if isinstance(metadata, dict) and len(json.dumps(metadata)) <= _METADATA_BYTES else {}
    return packed, known, bytes(attachments)


def _decode(text: str) -> bytes | None:
    try:
        return base64.b64decode(text)
    except (binascii.Error, ValueError):
        return None
