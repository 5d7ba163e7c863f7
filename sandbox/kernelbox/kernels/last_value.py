"""The value of a cell's last expression as JSON, beside its text, where it is plain data and small."""

import json
from typing import Any

from IPython.core.formatters import BaseFormatter
from traitlets import ObjectName, Unicode

VALUE_TYPE = "application/vnd.kernelbox.value+json"
_BYTES_MAX = 64_000
_ITEMS_MAX = 10_000
_encoder = json.JSONEncoder(allow_nan=False, ensure_ascii=False, separators=(",", ":"))


class ValueFormatter(BaseFormatter):
    format_type = Unicode(VALUE_TYPE)
    print_method = ObjectName("_kernelbox_value_")
    _return_type = str

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        for kind in (bool, int, float, str, list, dict):
            self.for_type(kind, _as_json)


def _as_json(value: Any) -> str | None:
    if isinstance(value, (list, dict, str)) and len(value) > _BYTES_MAX:
        return None
    if isinstance(value, (list, dict)) and len(value) > _ITEMS_MAX:
        return None
    text: list[str] = []
    size = 0
    try:
        for piece in _encoder.iterencode(value):
            size += len(piece)
            if size > _BYTES_MAX:
                return None
            text.append(piece)
    except (TypeError, ValueError, RecursionError):
        return None
    return "".join(text)
