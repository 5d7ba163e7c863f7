"""A value in a few words: its shape, its size, the beginning of what it holds.

Only of types whose inside can be read without running a line of the user's code; of all others nothing but the type is told. Nothing is changed,
and nothing is read further than it is shown.
"""

import datetime
import pathlib
import sys
import zoneinfo
from collections import Counter, OrderedDict, defaultdict, deque
from decimal import Decimal
from itertools import islice
from typing import Any

from .known_types import is_a, is_made_by, namespace, type_name

PREVIEW_CHARACTERS = 200
_ITEMS = 12
_DEPTH = 3
_COLUMNS = 10
_ROWS = 3
_INT_BITS = 600
_ITEM_BYTES = 4_096
_SCALARS = (type(None), bool, float, complex, Decimal, range, type(...), type(NotImplemented))
_DATES = (datetime.date, datetime.time, datetime.datetime)
_ZONES = (type(None), datetime.timezone, zoneinfo.ZoneInfo)
_PATHS = (pathlib.PurePosixPath, pathlib.PosixPath)
_MAPPINGS = (dict, OrderedDict, defaultdict, Counter)
_SEQUENCES: dict[Any, str] = {list: "[]", tuple: "()", set: "{}", frozenset: "{}", deque: "[]"}
# Base types whose length is in the object itself, whatever a subclass says of it.
_SIZED = (dict, list, tuple, str, bytes, bytearray, set, frozenset, deque)


def describe(value: Any) -> tuple[list[int] | None, int | None, str | None]:
    """Shape, bytes and preview; None for what cannot be known without asking the value itself."""
    kind = type(value)
    if is_made_by(kind, "numpy"):
        return _of_numpy(value)
    if is_made_by(kind, "pandas"):
        return _of_pandas(value)
    return _length(value), sys.getsizeof(value) if _is_builtin(kind) else None, _Writer().write(value)


def _is_builtin(kind: type) -> bool:
    # Only types that are plain themselves: comparing one with another asks its own type, which can be the user's.
    return type(kind) is type and kind in (*_SCALARS, *_MAPPINGS, *_SEQUENCES, *_DATES, int, str, bytes, bytearray, datetime.timedelta)


def _length(value: Any) -> list[int] | None:
    for base in _SIZED:
        if is_a(value, base):
            return [base.__len__(value)]
    return None


class _Writer:
    """Writes until it has enough."""

    def __init__(self, characters: int = PREVIEW_CHARACTERS) -> None:
        self._left = characters

    def write(self, value: Any) -> str | None:
        """None for a type that is not known to be safe."""
        text = self._text(value, 0)
        return None if text is None else text if len(text) <= PREVIEW_CHARACTERS else f"{text[: PREVIEW_CHARACTERS - 1]}…"

    def _text(self, value: Any, depth: int) -> str | None:
        kind = type(value)
        if type(kind) is not type:
            return None
        if kind in _SCALARS:
            text: str | None = repr(value)
        elif kind is int:
            text = repr(value) if value.bit_length() <= _INT_BITS else f"<int of {value.bit_length()} bits>"
        elif kind in (str, bytes, bytearray):
            text = repr(value[: self._left]) + ("…" if len(value) > self._left else "")
        elif kind in _DATES:
            text = value.isoformat() if type(getattr(value, "tzinfo", None)) in _ZONES else None
        elif kind is datetime.timedelta:
            text = str(value)
        elif kind in _PATHS:
            text = _path(value)
        elif kind in _MAPPINGS:
            text = self._mapping(value, depth)
        elif kind in _SEQUENCES:
            text = self._sequence(value, _SEQUENCES[kind], depth)
        elif is_made_by(kind, "numpy"):
            text = _of_numpy(value)[2]
        elif is_made_by(kind, "pandas"):
            text = _pandas_scalar(value)
        else:
            return None
        self._left = max(0, self._left - len(text or ""))
        return text

    def _item(self, value: Any, depth: int) -> str:
        return self._text(value, depth) or f"<{type_name(type(value))[:80]}>"

    def _sequence(self, value: Any, brackets: str, depth: int) -> str:
        if len(value) == 0:
            return brackets if type(value) in (list, tuple) else f"{type_name(type(value))}()"
        items = self._joined(value, len(value), depth, lambda item: self._item(item, depth + 1))
        return brackets[0] + items + ("," if type(value) is tuple and len(value) == 1 else "") + brackets[1]

    def _mapping(self, value: Any, depth: int) -> str:
        def pair(item: tuple[Any, Any]) -> str:
            return f"{self._item(item[0], depth + 1)}: {self._item(item[1], depth + 1)}"

        return "{" + self._joined(dict.items(value), dict.__len__(value), depth, pair) + "}"

    def _joined(self, items: Any, count: int, depth: int, write: Any) -> str:
        if depth >= _DEPTH:
            return "…" if count > 0 else ""
        written = []
        for item in islice(items, _ITEMS):
            if self._left <= 0:
                break
            written.append(write(item))
        return ", ".join(written) + (", …" if len(written) < count else "")


def _path(value: Any) -> str | None:
    """Only where its parts are plain strings: it asks them for their methods."""
    parts = value._raw_paths
    return str(value) if type(parts) is list and all(type(part) is str for part in parts) else None


def _of_numpy(value: Any) -> tuple[list[int] | None, int | None, str | None]:
    kind = type(value)
    numpy = namespace(sys.modules["numpy"])
    if is_a(value, numpy["generic"]) and kind is not numpy["void"]:
        return None, sys.getsizeof(value), _Writer().write(value.item())
    if kind is not numpy["ndarray"]:
        return None, None, None
    shape = list(value.shape)
    if not is_made_by(type(value.dtype), "numpy") or value.dtype.names is not None or value.itemsize > _ITEM_BYTES:
        # A record's fields can bear any object as their title.
        return shape, value.nbytes, None
    head = value.flat[:_ITEMS].tolist()
    text = _Writer(PREVIEW_CHARACTERS - 40).write(head) or ""
    return shape, value.nbytes, f"{value.dtype} {text[:-1] + ', …]' if value.size > len(head) else text}"[:PREVIEW_CHARACTERS]


def _of_pandas(value: Any) -> tuple[list[int] | None, int | None, str | None]:
    pandas = namespace(sys.modules["pandas"])
    kind = type(value)
    if kind is not pandas["DataFrame"] and kind is not pandas["Series"]:
        return None, None, _pandas_scalar(value)
    # Past the frame's own methods: they pass its attrs on, which copies objects of the user's.
    manager = value._mgr
    axes = manager.axes
    arrays = [block.values for block in manager.blocks]
    if not all(is_made_by(type(part), "numpy") or is_made_by(type(part), "pandas") for part in (*axes, *arrays)):
        # An array or an index that the user has made.
        return None, None, None
    shape = [len(axis) for axis in reversed(axes)]
    size = sum(array.nbytes for array in arrays) + axes[-1].memory_usage(deep=False)
    if kind is pandas["Series"]:
        return shape, size, _Writer().write(arrays[0][:_ITEMS].tolist())
    columns = []
    for at in range(min(shape[1], _COLUMNS)):
        array = manager.iget_values(at)
        label = _Writer(60)._item(axes[0][at], 0)
        columns.append(f"{label} {array.dtype} {_Writer(40).write(array[:_ROWS].tolist())}")
    more = f"; {shape[1] - _COLUMNS} more columns" if shape[1] > _COLUMNS else ""
    return shape, size, ("; ".join(columns) + more)[: 3 * PREVIEW_CHARACTERS]


def _pandas_scalar(value: Any) -> str | None:
    is_known = type_name(type(value)).rpartition(".")[2] in ("Timestamp", "Timedelta", "NaTType", "NAType")
    return str(value) if is_known and type(getattr(value, "tzinfo", None)) in _ZONES else None
