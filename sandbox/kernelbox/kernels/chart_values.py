"""Data of a figure as plain JSON: numbers, ISO times and text, bounded."""

import datetime
import math
import sys
from typing import Any

import numpy as np

Json = dict[str, Any]

# Every bound of a chart. The server refuses what is larger (src/events/chart.ts).
POINTS = 1_000
# Shared by the series of one figure.
FIGURE_POINTS = 3_000
POINTS_MIN = 10
SERIES = 50
CHARTS = 30
MATRIX_CELLS = 400
ANNOTATIONS = 20
TICK_LABELS = 1_000
NAMES = 10
TEXT_CHARACTERS = 200
CHART_BYTES = 48_000
_EXACT_INTEGER = 2**53


def text(value: Any) -> str:
    return str(value)[:TEXT_CHARACTERS]


def scalar(value: Any) -> Any:
    """Not a number, infinite and missing values are null."""
    if value is None or isinstance(value, (bool, str)):
        return text(value) if isinstance(value, str) else value
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, (np.datetime64, np.timedelta64)):
        return None if np.isnat(value) else str(np.datetime_as_string(value, unit="auto")) if isinstance(value, np.datetime64) else text(value)
    if isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value) if abs(int(value)) <= _EXACT_INTEGER else number(value)
    if isinstance(value, (float, np.floating)):
        return number(value)
    if isinstance(value, (datetime.date, datetime.time)):
        # Pandas' missing time is a datetime that does not equal itself.
        return text(value.isoformat()) if value == value else None
    return text(value)


def number(value: Any) -> float | int | None:
    """Without the noise of binary fractions: 0.30000000000000004 is 0.3."""
    exact = float(value)
    if not math.isfinite(exact):
        return None
    short = exact if exact.is_integer() else float(f"{exact:.12g}")
    return int(short) if short.is_integer() and abs(short) <= _EXACT_INTEGER else short


def numbers(values: Any) -> list[Any]:
    # As Python's numbers, which are read much faster than an array's.
    return [number(value) for value in (values.tolist() if isinstance(values, np.ndarray) else values)]


def floats(values: Any) -> Any:
    """A flat array of floats; what is masked is not a number."""
    return np.ma.filled(np.ma.asarray(values, dtype=float).ravel(), np.nan)


def picks(total: int, limit: int) -> Any:
    """Which of so many values are told: all, or evenly spread ones with the first and the last."""
    if total <= limit:
        return slice(None)
    return np.linspace(0, total - 1, limit).round().astype(int)


def span(values: Any) -> tuple[Any, Any]:
    finite = values[np.isfinite(values)]
    return (number(finite.min()), number(finite.max())) if len(finite) else (None, None)


def times(days: Any) -> list[Any]:
    """Matplotlib's dates are days since an epoch."""
    from matplotlib.dates import get_epoch

    known = np.isfinite(days)
    steps = np.where(known, days, 0) * 86_400e6
    moments = np.datetime64(get_epoch(), "us") + steps.round().astype("timedelta64[us]")
    return [str(np.datetime_as_string(moment, unit="auto")) if ok else None for moment, ok in zip(moments, known, strict=True)]


class Scale:
    """How the numbers of one axis read: as they are, as times, or as the names of categories."""

    def __init__(self, axis: Any) -> None:
        kinds = {kind.__name__ for kind in type(axis.get_converter()).__mro__}
        self.kind = text(axis.get_scale())
        self._names: dict[float, str] = {}
        self._freq: Any = None
        if "PeriodConverter" in kinds and getattr(axis.axes, "freq", None) is not None:
            self.kind, self._freq = "datetime", axis.axes.freq
        elif kinds & {"DateConverter", "_SwitchableDateConverter"}:
            self.kind = "datetime"
        elif "StrCategoryConverter" in kinds:
            self.kind = "category"
            self._names = {float(at): text(name) for name, at in list(axis.units._mapping.items())[:TICK_LABELS]}
        else:
            self._names = _tick_names(axis)
        self._places = np.array(sorted(self._names), dtype=float)

    def read(self, values: Any) -> list[Any]:
        if self._freq is not None:
            periods = sys.modules["pandas"].PeriodIndex.from_ordinals(values.astype("int64"), freq=self._freq)
            return [text(period) for period in periods]
        if self.kind == "datetime":
            return times(values)
        return self.names(values) or numbers(values)

    def names(self, values: Any, reach: float = 1e-6) -> list[str] | None:
        """What is written at these places of the axis, where something is at each of them."""
        if not len(self._places) or not len(values) or not np.isfinite(values).all():
            return None
        after = np.searchsorted(self._places, values).clip(1, max(1, len(self._places) - 1))
        low = self._places[after - 1]
        high = self._places[np.minimum(after, len(self._places) - 1)]
        nearest = np.where(np.abs(values - low) <= np.abs(high - values), low, high)
        if (np.abs(nearest - values) > reach).any():
            return None
        return [self._names[float(place)] for place in nearest]


def _tick_names(axis: Any) -> dict[float, str]:
    """Labels that were set by hand."""
    locator, formatter = axis.get_major_locator(), axis.get_major_formatter()
    if type(locator).__name__ != "FixedLocator" or type(formatter).__name__ not in ("FixedFormatter", "FuncFormatter"):
        return {}
    places = [float(place) for place in locator.locs[:TICK_LABELS]]
    return {place: text(label) for place, label in zip(places, formatter.format_ticks(places), strict=False) if label}
