"""What is drawn on one matplotlib axes, as series of data."""

from typing import Any

import numpy as np
from matplotlib import collections, colors, container, image, lines, patches

from . import chart_values as limits
from .chart_bars import read_bars
from .chart_boxes import read_boxes
from .chart_values import Json, Scale, floats, number, numbers, picks, scalar, span, text


def read_series(axes: Any, points: int) -> tuple[list[Json], set[str]]:
    """The series, and the names of the kinds of artists that none was made of."""
    reader = _Reader(axes, points)
    reader.read()
    return reader.series, reader.not_read


class _Reader:
    def __init__(self, axes: Any, points: int) -> None:
        self.axes = axes
        self.points = points
        self.x, self.y = Scale(axes.xaxis), Scale(axes.yaxis)
        self.series: list[Json] = []
        self.not_read: set[str] = set()
        self.used: set[int] = set()
        self.legend = _legend(axes)

    def read(self) -> None:
        self._read_pie()
        bars = [one for one in self.axes.containers if isinstance(one, container.BarContainer)]
        if bars:
            self._use([part for one in bars for part in one.get_children()])
            self.series += read_bars(bars, self)
        for one in self.axes.containers:
            if isinstance(one, container.ErrorbarContainer) and id(one) not in self.used:
                self._read_errorbar(one)
            elif isinstance(one, container.StemContainer):
                self._use(one.get_children())
                self._add("stem", one.markerline, one.get_label(), one.markerline.get_xdata(orig=False), one.markerline.get_ydata(orig=False))
        self.series += read_boxes(self)
        for line in self.axes.lines:
            if id(line) not in self.used:
                self._read_line(line)
        for patch in self.axes.patches:
            if id(patch) not in self.used:
                self._read_patch(patch)
        for one in [*self.axes.collections, *self.axes.images]:
            if id(one) not in self.used:
                self._read_collection(one)
        self._drop_what_goes_with()

    def label(self, artist: Any, given: Any = None) -> str | None:
        """The artist's own, or what the legend says of its colour. Those that begin with an underscore are matplotlib's."""
        own = artist.get_label() if given is None else given
        if isinstance(own, str) and own and not own.startswith("_"):
            return text(own)
        return self.legend.get(_color(artist))

    def _drop_what_goes_with(self) -> None:
        """The small boxes in violins, and the edges of areas."""
        if any(one["kind"] == "violin" for one in self.series):
            self.not_read.discard("LineCollection")
            self.series = [one for one in self.series if one["kind"] != "line" or one["label"] is not None or len(one["x"]) > 2]
        areas = [(one["label"], one["x"], one["y"]) for one in self.series if one["kind"] == "area" and one["label"] is not None]
        self.series = [one for one in self.series if one["kind"] != "line" or (one["label"], one["x"], one["y"]) not in areas]

    def _use(self, artists: Any) -> None:
        for artist in artists:
            self.used.add(id(artist))

    def _read_pie(self) -> None:
        wedges = [patch for patch in self.axes.patches if isinstance(patch, patches.Wedge)]
        self._use(wedges)
        if not wedges:
            return
        told = wedges[: self.points]
        labels = [self.label(wedge) or "" for wedge in told]
        if not any(labels):
            # Its texts are one for each wedge, where there are any: names, or percentages.
            written = [note.get_text() for note in self.axes.texts]
            labels = [text(note) for note in written[: len(told)]] if len(written) >= len(told) else labels
        fractions = [number(abs(wedge.theta2 - wedge.theta1) / 360) for wedge in told]
        one: Json = {"kind": "pie", "label": None, "labels": labels, "fractions": fractions}
        self.series.append({**one, "points_total": len(wedges)} if len(wedges) > len(told) else one)

    def _read_errorbar(self, one: Any) -> None:
        self._use(one.get_children())
        line, _, bars = one.lines
        segments = [np.asarray(bar.get_segments(), dtype=float) for bar in bars]
        segments = [found for found in segments if found.ndim == 3 and len(found)]
        if line is None and not segments:
            return
        x = floats(segments[0].mean(axis=1)[:, 0] if line is None else line.get_xdata(orig=False))
        y = floats(segments[0].mean(axis=1)[:, 1] if line is None else line.get_ydata(orig=False))
        series = self._points("errorbar", self.label(bars[0] if line is None else line, one.get_label()), x, y)
        chosen = picks(len(x), self.points)
        for name, at, scale in (("x", 0, self.x), ("y", 1, self.y)):
            # A segment of the other direction is flat in this one.
            for found in segments:
                if len(found) == len(x) and np.ptp(found[:, :, at], axis=1).any():
                    series[f"{name}_low"] = scale.read(found[chosen].min(axis=1)[:, at])
                    series[f"{name}_high"] = scale.read(found[chosen].max(axis=1)[:, at])
        self.series.append(series)

    def _points(self, kind: str, label: str | None, x: Any, y: Any) -> Json:
        chosen = picks(len(x), self.points)
        series: Json = {"kind": kind, "label": label, "x": self.x.read(x[chosen]), "y": self.y.read(y[chosen])}
        if len(x) > self.points:
            series["points_total"] = len(x)
            series["y_min"], series["y_max"] = self._ends(self.y, y)
        return series

    def _ends(self, scale: Scale, values: Any) -> list[Any]:
        finite = values[np.isfinite(values)]
        return scale.read(np.array([finite.min(), finite.max()])) if len(finite) else [None, None]

    def _add(self, kind: str, artist: Any, given: Any, x: Any, y: Any) -> None:
        x, y = floats(x), floats(y)
        if len(x) and len(x) == len(y):
            self.series.append(self._points(kind, self.label(artist, given), x, y))

    def _read_line(self, line: Any) -> None:
        if not line.get_visible():
            return
        if type(line).__name__ == "AxLine":
            self.not_read.add("AxLine")
            return
        if hasattr(line, "get_data_3d"):
            x, y, z = (floats(values) for values in line.get_data_3d())
            self.series.append({**self._points("line", self.label(line), x, y), "z": numbers(z[picks(len(z), self.points)])})
            return
        x, y = line.get_xdata(orig=False), line.get_ydata(orig=False)
        transform = line.get_transform()
        # Compared as objects: as matrices they can be equal by chance.
        is_level = transform is self.axes.get_yaxis_transform(which="grid")
        if len(x) and (is_level or transform is self.axes.get_xaxis_transform(which="grid")):
            at = self.y.read(floats(y)[:1])[0] if is_level else self.x.read(floats(x)[:1])[0]
            self.series.append({"kind": "reference", "label": self.label(line), "axis": "y" if is_level else "x", "value": at})
        elif not transform.contains_branch(self.axes.transData):
            self.not_read.add("Line2D")
        elif not self._is_error_of_series(line, floats(x), floats(y)):
            is_marked = line.get_linestyle() in ("None", "none", "", " ") and line.get_marker() not in ("None", "none", "", " ", None)
            self._add("scatter" if is_marked else "line", line, None, x, y)

    def _is_error_of_series(self, line: Any, x: Any, y: Any) -> bool:
        """Seaborn draws the error of each bar or point as an upright line of its own."""
        if len(x) != 2 or not str(line.get_label()).startswith("_") or x[0] != x[1] == (y[0] == y[1]):
            return False
        at, low, high = (self.x.read(x[:1])[0], *sorted(numbers(y), key=lambda v: (v is None, v)))
        for series in self.series:
            if series["kind"] not in ("line", "scatter") or at not in series["x"] or y[0] == y[1]:
                continue
            place = series["x"].index(at)
            middle = series["y"][place]
            if None in (low, high, middle) or not low <= middle <= high:
                continue
            for name, value in (("y_low", low), ("y_high", high)):
                series.setdefault(name, [None] * len(series["x"]))[place] = value
            return True
        return False

    def _read_patch(self, patch: Any) -> None:
        if not patch.get_visible() or (isinstance(patch, patches.Rectangle) and patch.get_width() == patch.get_height() == 0):
            return
        if isinstance(patch, patches.StepPatch):
            values, edges, _ = patch.get_data()
            self._add_histogram(patch, floats(edges), floats(values), patch.orientation)
            return
        steps = _steps(floats_2d(patch.get_xy())) if type(patch) is patches.Polygon else None
        if steps is None:
            self.not_read.add(type(patch).__name__)
        else:
            self._add_histogram(patch, *steps)

    def _add_histogram(self, patch: Any, edges: Any, counts: Any, orientation: str) -> None:
        scale = self.x if orientation == "vertical" else self.y
        told = self.points
        series: Json = {"kind": "histogram", "label": self.label(patch), "orientation": orientation}
        series |= {"edges": scale.read(edges[: told + 1]), "counts": numbers(counts[:told])}
        self.series.append({**series, "points_total": len(counts)} if len(counts) > told else series)

    def _read_collection(self, one: Any) -> None:
        if not one.get_visible():
            return
        if isinstance(one, collections.FillBetweenPolyCollection):
            self._read_area(one)
        elif isinstance(one, (image.AxesImage, collections.QuadMesh)):
            self.series.append(self._heatmap(one))
        elif isinstance(one, collections.PathCollection):
            self._read_scatter(one)
        elif hasattr(one, "levels") and hasattr(one, "zmin"):
            levels = numbers(one.levels[: self.points])
            self.series.append({"kind": "contour", "label": None, "levels": levels, "min": number(one.zmin), "max": number(one.zmax)})
        else:
            self.not_read.add(type(one).__name__)

    def _read_scatter(self, one: Any) -> None:
        depth = getattr(one, "_offsets3d", None)
        if depth is not None:
            x, y, z = (floats(values) for values in depth)
            self.series.append({**self._points("scatter", self.label(one), x, y), "z": numbers(z[picks(len(z), self.points)])})
            return
        offsets = np.ma.filled(np.ma.asarray(one.get_offsets(), dtype=float), np.nan)
        if not len(offsets):
            return
        values = one.get_array()
        faces = one.get_facecolors()
        if values is None and self.legend and len(faces) == len(offsets) > 1:
            names = np.array([self.legend.get(_hex(face), "") for face in faces], dtype=object)
            if names.all() and len(set(names)) > 1:
                # One collection, whose points the legend tells apart by their colours.
                for name in dict.fromkeys(names):
                    self.series.append(self._points("scatter", str(name), *offsets[names == name].T))
                return
        series = self._points("scatter", self.label(one), offsets[:, 0], offsets[:, 1])
        if values is not None and len(values) == len(offsets):
            series["color_values"] = numbers(floats(values)[picks(len(offsets), self.points)])
            series["color_label"] = _bar_label(one)
        self.series.append(series)

    def _read_area(self, one: Any) -> None:
        """A polygon that goes there along one curve and back along the other, each with a point before it."""
        t, low, high = [], [], []
        for path in one.get_paths():
            corners = path.vertices
            n = (len(corners) - 2) // 2
            there, back = corners[1 : n + 1], corners[n + 2 : 2 * n + 2][::-1]
            along, across = (0, 1) if one.t_direction == "x" else (1, 0)
            t.append(there[:, along])
            low.append(np.minimum(there[:, across], back[:, across]))
            high.append(np.maximum(there[:, across], back[:, across]))
        if not t:
            return
        along, bottom, top = (np.concatenate(parts) for parts in (t, low, high))
        own, other = (self.x, self.y) if one.t_direction == "x" else (self.y, self.x)
        middle = (bottom + top) / 2
        if len(middle) > 2 and np.ptp(middle) <= 1e-9 * max(1.0, abs(middle[0])) and np.ptp(top) > 0:
            name = (other.names(middle[:1], 0.5) or numbers(middle[:1]))[0]
            ends = span(along)
            series: Json = {"kind": "violin", "label": text(name), "group": self.label(one), "min": ends[0], "max": ends[1]}
            self.series.append({**series, "orientation": "horizontal" if one.t_direction == "x" else "vertical"})
            return
        chosen = picks(len(along), self.points)
        names = ("x", "y") if one.t_direction == "x" else ("y", "x")
        series = {"kind": "area", "label": self.label(one)}
        series |= {names[0]: own.read(along[chosen]), names[1]: other.read(top[chosen])}
        if bottom.any():
            series["base"] = other.read(bottom[chosen])
        if len(along) > self.points:
            series["points_total"] = len(along)
        self.series.append(series)

    def _heatmap(self, one: Any) -> Json:
        values = np.ma.asarray(one.get_array())
        if values.ndim == 3:
            return {"kind": "image", "label": self.label(one), "shape": [int(n) for n in values.shape]}
        corners = one.get_coordinates() if isinstance(one, collections.QuadMesh) else None
        if corners is None:
            extent = numbers(one.get_extent())
            x, y = (np.linspace(*ends, n * 2 + 1)[1::2] for ends, n in zip((extent[:2], extent[2:]), values.shape[::-1], strict=True))
            y = y if one.origin == "lower" else y[::-1]
        else:
            if values.ndim == 1:
                values = values.reshape(corners.shape[0] - 1, corners.shape[1] - 1)
            x, y = (np.unique(np.round(corners[..., at], 9)) for at in (0, 1))
            extent = [number(end) for ends in (x, y) for end in (ends[0], ends[-1])]
            x, y = ((ends[1:] + ends[:-1]) / 2 if len(ends) == n + 1 else ends for ends, n in zip((x, y), values.shape[::-1], strict=True))
        flat = floats(values)
        low, high = span(flat)
        series: Json = {"kind": "heatmap", "label": self.label(one), "value_label": _bar_label(one), "shape": [int(n) for n in values.shape]}
        series |= {"extent": extent, "min": low, "max": high}
        for name, scale, places, n in (("x_categories", self.x, x, values.shape[1]), ("y_categories", self.y, y, values.shape[0])):
            if len(places) == n <= limits.MATRIX_CELLS and (found := scale.names(places)):
                series[name] = found
        if values.size <= limits.MATRIX_CELLS:
            series["values"] = [numbers(row) for row in flat.reshape(values.shape)]
        return series


def floats_2d(values: Any) -> Any:
    return np.asarray(values, dtype=float).reshape(-1, 2)


def _steps(corners: Any) -> tuple[Any, Any, str] | None:
    """A histogram that is drawn as one outline goes along the axes only: edges, counts, orientation."""
    if len(corners) < 5:
        return None
    moves = np.abs(np.diff(corners, axis=0)) > 0
    if moves.all(axis=1).any():
        return None
    for at, orientation in ((0, "vertical"), (1, "horizontal")):
        edges = np.unique(corners[:, at])
        flat = [(corners[i], corners[i + 1]) for i in range(len(corners) - 1) if moves[i, at]]
        there = [pair for pair in flat if pair[1][at] > pair[0][at]]
        if len(there) == len(edges) - 1 and all(pair[0][at] == edges[i] for i, pair in enumerate(there)):
            back = {float(pair[1][at]): float(pair[0][1 - at]) for pair in flat if pair[1][at] < pair[0][at]}
            base = [back.get(float(edge), 0.0) for edge in edges[:-1]]
            return edges, np.array([pair[0][1 - at] for pair in there]) - base, orientation
    return None


def _legend(axes: Any) -> dict[str, str]:
    """Names by colour, as far as each colour stands for one of them."""
    legend = axes.get_legend()
    if legend is None:
        return {}
    names: dict[str, str] = {}
    twice: set[str] = set()
    for handle, note in zip(legend.legend_handles[: limits.SERIES], legend.get_texts(), strict=False):
        color = _color(handle)
        (twice.add(color) if color in names else names.__setitem__(color, text(note.get_text())))
    return {color: name for color, name in names.items() if color and color not in twice}


def _color(artist: Any) -> str:
    try:
        if isinstance(artist, lines.Line2D):
            unfilled = artist.get_linestyle() in ("None", "none")
            return _hex(artist.get_markerfacecolor() if unfilled else artist.get_color())
        faces = np.atleast_2d(artist.get_facecolor())
        return _hex(faces[0]) if len(faces) and faces[0][3] > 0 else _hex(np.atleast_2d(artist.get_edgecolor())[0])
    except (AttributeError, IndexError, TypeError, ValueError):
        return ""


def _hex(color: Any) -> str:
    return str(colors.to_hex(color))


def _bar_label(one: Any) -> str | None:
    bar = getattr(one, "colorbar", None)
    return None if bar is None else (scalar(bar.ax.get_ylabel() or bar.ax.get_xlabel()) or None)
