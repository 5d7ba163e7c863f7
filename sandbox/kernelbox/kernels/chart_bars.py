"""Bars and histograms, which matplotlib keeps in the same form."""

import itertools
from typing import Any

import numpy as np

from .chart_values import Json, floats, numbers, picks


class _Bars:
    """One container, in the direction of its bars."""

    def __init__(self, one: Any) -> None:
        self.container = one
        self.is_upright = one.orientation != "horizontal"
        boxes = [(bar.get_x(), bar.get_width(), bar.get_y(), bar.get_height()) for bar in one.patches]
        table = np.array(boxes, dtype=float).reshape(-1, 4)
        self.start, self.width, self.base, self.length = (table if self.is_upright else table[:, [2, 3, 0, 1]]).T
        self.centre = self.start + self.width / 2
        self.step = np.diff(self.centre)

    @property
    def orientation(self) -> str:
        return "vertical" if self.is_upright else "horizontal"

    @property
    def touches(self) -> bool:
        gaps = np.abs(self.start[1:] - (self.start + self.width)[:-1])
        return len(self.start) > 1 and bool((gaps <= 1e-6 * np.abs(self.width[1:])).all()) and bool((self.width > 0).all())


def read_bars(containers: list[Any], reader: Any) -> list[Json]:
    all_bars = [bars for bars in map(_Bars, containers) if len(bars.start)]
    if not all_bars:
        return []
    scale = reader.x if all_bars[0].is_upright else reader.y
    arrangement = _arrangement(all_bars)
    edges = None if scale.kind == "category" else _edges(all_bars, scale)
    read = []
    for at, bars in enumerate(all_bars):
        own = bars.container.get_label()
        # A histogram names its first bar only.
        label = reader.label(bars.container.patches[0], None if own is None or own.startswith("_") else own)
        series: Json = {"kind": "bar" if edges is None else "histogram", "label": label, "orientation": bars.orientation}
        if arrangement is not None:
            series["arrangement"] = arrangement
        total = len(bars.start)
        if edges is not None:
            chosen: Any = slice(0, reader.points)
            series |= {"edges": scale.read(edges[at][: reader.points + 1]), "counts": numbers(bars.length[chosen])}
        else:
            chosen = picks(total, reader.points)
            names = scale.names(bars.centre[chosen], 0.5)
            series |= {"x": scale.read(bars.centre[chosen])} if names is None else {"categories": names}
            series["values"] = numbers(bars.length[chosen])
        if bars.base.any():
            series["base"] = (reader.y if bars.is_upright else reader.x).read(bars.base[chosen])
        if total > reader.points:
            series["points_total"] = total
        ends = _errors(bars, reader)
        if ends is not None:
            series |= {"low": numbers(ends[chosen, 0]), "high": numbers(ends[chosen, 1])}
        read.append(series)
    return read


def _arrangement(all_bars: list[_Bars]) -> str | None:
    if len(all_bars) < 2:
        return None
    first = all_bars[0]
    same = [bars for bars in all_bars[1:] if len(bars.centre) == len(first.centre)]
    if any(bars.base.any() and np.allclose(bars.centre, first.centre) for bars in same):
        return "stacked"
    return "grouped" if any(not np.allclose(bars.centre, first.centre) for bars in same) else None


def _edges(all_bars: list[_Bars], scale: Any) -> list[Any] | None:
    """The bins, where the bars are a histogram's: they touch each other, or, for several side by side, fill four fifths of each bin."""
    if all(bars.touches and scale.names(bars.centre) is None for bars in all_bars):
        return [np.append(bars.start, bars.start[-1] + bars.width[-1]) for bars in all_bars]
    first, last = all_bars[0], all_bars[-1]
    if len(all_bars) < 2 or len({len(bars.start) for bars in all_bars}) > 1 or len(first.start) < 2:
        return None
    bins = (first.start + last.start + last.width) / 2
    step = np.diff(bins)
    is_even = np.allclose(step, step[0]) and np.allclose(first.width * len(all_bars), 0.8 * step[0])
    side_by_side = all(np.allclose(a.start + a.width, b.start) for a, b in itertools.pairwise(all_bars))
    # Groups of bars are put at whole numbers, and have names written beneath them.
    if not (is_even and side_by_side) or np.allclose(bins, bins.round()) or scale.names(bins) is not None:
        return None
    edges = np.append(bins - step[0] / 2, bins[-1] + step[0] / 2)
    return [edges] * len(all_bars)


def _errors(bars: _Bars, reader: Any) -> Any:
    """Low and high end for each bar: from its error bars, or from upright lines at its middle, which are seaborn's."""
    value_at = 1 if bars.is_upright else 0
    one = bars.container.errorbar
    if one is not None:
        reader._use([one, *one.get_children()])
        for lines in one.lines[2]:
            ends = np.asarray(lines.get_segments(), dtype=float)
            if ends.shape == (len(bars.start), 2, 2):
                return np.sort(ends[:, :, value_at], axis=1)
        return None
    found = np.full((len(bars.start), 2), np.nan)
    for line in reader.axes.lines:
        if id(line) in reader.used or not str(line.get_label()).startswith("_"):
            continue
        sides = floats(line.get_xdata(orig=False)), floats(line.get_ydata(orig=False))
        along, across = sides[value_at], sides[1 - value_at]
        if not 2 <= len(along) <= 6 or np.ptp(across[len(across) // 2 - 1 : len(across) // 2 + 1]) > 0:
            continue
        at = np.flatnonzero(np.isclose(bars.centre, (across.min() + across.max()) / 2))
        if len(at) and np.isfinite(along).all():
            found[at[0]] = along.min(), along.max()
            reader._use([line])
        elif len(at):
            reader._use([line])
    return found if np.isfinite(found).any() else None
