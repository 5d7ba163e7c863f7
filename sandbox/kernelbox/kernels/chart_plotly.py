"""A plotly figure as a chart, from the JSON that it publishes: traces and a layout."""

import base64
import re
from typing import Any

import numpy as np

from . import chart_values as limits
from .chart_values import Json, number, numbers, picks, scalar, span, text

_DATE = re.compile(r"\d{4}-\d{2}(-\d{2}([T ].*)?)?$")
# Plotly writes each moment to the microsecond.
_ZEROS = re.compile(r"(?<=\d{4}-\d\d-\d\d)T00:00:00(\.0+)?$|(?<=\d:\d\d:\d\d)\.0+$")
_NUMBER_TYPES = frozenset({"f4", "f8", "i1", "i2", "i4", "u1", "u2", "u4"})
_LINES = frozenset({"scatter", "scattergl", "scatterpolar", "scatter3d"})
_SCALES = {"date": "datetime", "multicategory": "category"}


def chart_of(figure: Any, points: int | None) -> Json | None:
    traces = [trace for trace in figure.get("data") or [] if isinstance(trace, dict) and trace.get("visible") not in (False, "legendonly")]
    layout = figure.get("layout") or {}
    if not traces:
        return None
    if points is None:
        points = max(limits.POINTS_MIN, min(limits.POINTS, limits.FIGURE_POINTS // len(traces)))
    places: dict[Any, list[Json]] = {}
    for at, trace in enumerate(traces):
        # A pie has a place of its own.
        own = at if "domain" in trace or trace.get("type") in ("pie", "sunburst", "treemap") else None
        places.setdefault((trace.get("xaxis", "x"), trace.get("yaxis", "y"), trace.get("scene"), own), []).append(trace)
    charts = [_chart(place, found, layout, points) for place, found in list(places.items())[: limits.CHARTS]]
    title = _words(layout.get("title"))
    if len(charts) == 1:
        charts[0]["title"] = title
        return charts[0]
    several: Json = {"kind": "figure", "title": title, "charts": charts}
    return several | ({"charts_total": len(places)} if len(places) > len(charts) else {})


def _chart(place: Any, traces: list[Json], layout: Json, points: int) -> Json:
    space = layout.get(place[2])
    axes = [_axis(space, name) for name in "xyz"] if isinstance(space, dict) else [_axis(layout, place[at]) for at in (0, 1)]
    series: list[Json] = []
    not_read: set[str] = set()
    for trace in traces:
        try:
            found = _series(trace, points)
        except (KeyError, TypeError, ValueError, AttributeError):
            found = []
        if not found:
            not_read.add(text(trace.get("type", "scatter")))
        series += found
    chart: Json = {"kind": _kind(series), "title": _subplot_title(layout, axes)}
    for name, axis in zip("xyz", axes, strict=False):
        chart[f"{name}_label"] = _words(axis.get("title"))
    chart["x_scale"], chart["y_scale"] = (_scale(axis, series, name) for axis, name in zip(axes, "xy", strict=False))
    if len(axes) == 3 or traces[0].get("type") == "scatterpolar":
        chart["projection"] = "3d" if len(axes) == 3 else "polar"
    orientations = {one.pop("orientation") for one in series if "orientation" in one}
    if len(orientations) == 1:
        chart["orientation"] = orientations.pop()
    if chart["kind"] in ("bar", "histogram") and len(series) > 1:
        mode = layout.get("barmode", "group")
        chart["arrangement"] = {"stack": "stacked", "relative": "stacked", "overlay": "overlaid"}.get(mode, "grouped")
    chart["series"] = [{name: value for name, value in one.items() if name != "kind" or value != chart["kind"]} for one in series[: limits.SERIES]]
    if len(series) > limits.SERIES:
        chart["series_total"] = len(series)
    if not_read:
        chart["not_read"] = sorted(not_read)[: limits.NAMES]
    return chart


def _kind(series: list[Json]) -> str:
    kinds = {one["kind"] for one in series}
    return "mixed" if len(kinds) > 1 else kinds.pop() if kinds else "unknown"


def _series(trace: Json, points: int) -> list[Json]:
    kind = trace.get("type", "scatter")
    label = {"label": text(trace["name"]) if trace.get("name") else None}
    is_flat = trace.get("orientation") == "h"
    way = {"orientation": "horizontal" if is_flat else "vertical"}
    x, y = _array(trace.get("x")), _array(trace.get("y"))
    if kind in _LINES:
        if kind == "scatterpolar":
            x, y = _array(trace.get("theta")), _array(trace.get("r"))
        x, y = _both(x, y, trace, "x0", "dx")
        mode = trace.get("mode", "lines")
        name = "area" if trace.get("fill", "none") != "none" or "stackgroup" in trace else "line" if "lines" in mode else "scatter"
        one = {"kind": name, **label, **_points(x, y, points)}
        if kind == "scatter3d":
            one["z"] = _values(_array(trace["z"]), picks(len(x), points))
        return [one | _error(trace.get("error_y"), y, points)]
    if kind == "bar":
        x, y = _both(y, x, trace, "y0", "dy") if is_flat else _both(x, y, trace, "x0", "dx")
        told = picks(len(x), points)
        names = _values(x, told)
        is_named = any(isinstance(name, str) and not _DATE.match(name) for name in names)
        one = {"kind": "bar", **label, **way, "categories" if is_named else "x": names, "values": _values(y, told)}
        base = _array(trace.get("base"))
        if base is not None and len(base) == len(x):
            one["base"] = _values(base, told)
        return [one | ({"points_total": len(x)} if len(x) > points else {})]
    if kind == "histogram":
        return [{"kind": "histogram", **label, "orientation": "vertical" if x is not None else "horizontal", **_bins(trace, x, y)}]
    if kind in ("box", "violin"):
        return _boxes(kind, trace, x, y, points)
    if kind == "pie":
        return [{"kind": "pie", **label, **_slices(trace, points)}]
    if kind in ("heatmap", "heatmapgl"):
        return [{"kind": "heatmap", "label": None, **_matrix(trace, x, y)}]
    return []


def _array(value: Any) -> Any:
    """A list as it is, or numbers, which plotly writes in their binary form."""
    if isinstance(value, dict) and isinstance(value.get("bdata"), str) and value.get("dtype") in _NUMBER_TYPES:
        found = np.frombuffer(base64.b64decode(value["bdata"]), dtype="<" + value["dtype"])
        return found.reshape([int(n) for n in str(value["shape"]).split(",")]) if "shape" in value else found
    return value if isinstance(value, list) else None


def _both(at: Any, values: Any, trace: Json, first: str, step: str) -> tuple[Any, Any]:
    """One of the two may be left out: then it counts."""
    if values is None:
        values = list(range(len(at)))
    if at is None:
        at = [trace.get(first, 0) + n * trace.get(step, 1) for n in range(len(values))]
    n = min(len(at), len(values))
    return at[:n], values[:n]


def _values(values: Any, told: Any) -> list[Any]:
    if isinstance(values, np.ndarray):
        return numbers(values[told])
    chosen = values[told] if isinstance(told, slice) else [values[at] for at in told]
    return [_ZEROS.sub("", text(value)) if isinstance(value, str) else scalar(value) for value in chosen]


def _points(x: Any, y: Any, points: int) -> Json:
    told = picks(len(x), points)
    found: Json = {"x": _values(x, told), "y": _values(y, told)}
    if len(x) > points:
        found["points_total"] = len(x)
        if not any(isinstance(value, str) for value in found["y"]):
            found["y_min"], found["y_max"] = span(_floats(y))
    return found


def _floats(values: Any) -> Any:
    return np.array([np.nan if value is None else value for value in values], dtype=float)


def _error(error: Any, y: Any, points: int) -> Json:
    up = _array(error.get("array")) if isinstance(error, dict) else None
    if up is None or len(up) != len(y):
        return {}
    down = _array(error.get("arrayminus"))
    middle, told = _floats(y), picks(len(y), points)
    low, high = middle - _floats(up if down is None else down), middle + _floats(up)
    return {"y_low": numbers(low[told]), "y_high": numbers(high[told])}


def _bins(trace: Json, x: Any, y: Any) -> Json:
    """The browser makes the bins; where the trace does not say which, ours may have other edges."""
    if x is not None and y is not None:
        raise ValueError("the bins hold another column's sums")
    name = "x" if x is not None else "y"
    values = x if x is not None else y
    if any(isinstance(value, str) for value in values):
        names, counts = np.unique(np.array([text(value) for value in values]), return_counts=True)
        return {"kind": "bar", "categories": [str(one) for one in names[: limits.MATRIX_CELLS]], "values": numbers(counts[: limits.MATRIX_CELLS])}
    found = _floats(values)
    found = found[np.isfinite(found)]
    given = trace.get(f"{name}bins") or {}
    if all(isinstance(given.get(part), (int, float)) for part in ("start", "end", "size")) and given["size"] > 0:
        n = int(np.ceil((given["end"] - given["start"]) / given["size"]))
        edges: Any = given["start"] + given["size"] * np.arange(min(n, limits.MATRIX_CELLS) + 1)
    else:
        edges = min(int(trace.get(f"nbins{name}") or 0), limits.MATRIX_CELLS) or min(len(np.histogram_bin_edges(found, "auto")) - 1, 100)
    counts, edges = np.histogram(found, edges)
    return {"edges": numbers(edges), "counts": numbers(counts), **({} if given else {"approximate": True})}


def _boxes(kind: str, trace: Json, x: Any, y: Any, points: int) -> list[Json]:
    is_flat = trace.get("orientation") == "h" or (y is None and x is not None)
    way = {"orientation": "horizontal" if is_flat else "vertical"}
    values, names = (x, y) if is_flat else (y, x)
    name = text(trace["name"]) if trace.get("name") else ""
    groups: dict[str, list[Any]] = {}
    for at, value in enumerate(values):
        groups.setdefault(text(names[at]) if names is not None and at < len(names) else name, []).append(value)
    boxes = []
    for label, members in list(groups.items())[:points]:
        found = _floats(members)
        found = np.sort(found[np.isfinite(found)])
        if not len(found):
            continue
        one: Json = {"kind": kind, "label": label, **way, **({"group": name} if name and name != label else {})}
        q1, median, q3 = np.quantile(found, [0.25, 0.5, 0.75], method="hazen")
        inside = found[(found >= q1 - 1.5 * (q3 - q1)) & (found <= q3 + 1.5 * (q3 - q1))]
        one |= {"min": number(inside[0]), "q1": number(q1), "median": number(median), "q3": number(q3), "max": number(inside[-1])}
        outliers = found[(found < inside[0]) | (found > inside[-1])]
        one["outliers"] = numbers(outliers[: limits.MATRIX_CELLS])
        boxes.append(one | ({"outliers_total": len(outliers)} if len(outliers) > limits.MATRIX_CELLS else {}))
    return boxes


def _slices(trace: Json, points: int) -> Json:
    values = _floats(_array(trace["values"]))
    labels = _array(trace.get("labels"))
    sums: dict[str, float] = {}
    for at, value in enumerate(values):
        if np.isfinite(value):
            name = text(labels[at]) if labels is not None and at < len(labels) else str(at)
            sums[name] = sums.get(name, 0.0) + float(value)
    total = sum(sums.values()) or 1.0
    told = list(sums.items())[:points]
    found = {"labels": [name for name, _ in told], "values": numbers(value for _, value in told)}
    found["fractions"] = numbers(value / total for _, value in told)
    return found | ({"points_total": len(sums)} if len(sums) > points else {})


def _matrix(trace: Json, x: Any, y: Any) -> Json:
    rows = _array(trace["z"])
    table = np.array([_floats(row) for row in rows])
    low, high = span(table.ravel())
    found: Json = {"shape": [int(n) for n in table.shape], "min": low, "max": high}
    for name, values, n in (("x_categories", x, table.shape[1]), ("y_categories", y, table.shape[0])):
        if values is not None and len(values) == n <= limits.MATRIX_CELLS:
            found[name] = [text(value) for value in _values(values, slice(None))]
    if table.size <= limits.MATRIX_CELLS:
        found["values"] = [numbers(row) for row in table]
    return found


def _axis(layout: Json, name: Any) -> Json:
    axis = layout.get(f"{str(name)[:1]}axis{str(name)[1:]}")
    return axis if isinstance(axis, dict) else {}


def _scale(axis: Json, series: list[Json], name: str) -> str:
    if isinstance(axis.get("type"), str) and axis["type"] != "-":
        return text(_SCALES.get(axis["type"], axis["type"]))
    is_place = name == ("y" if series and series[0].get("orientation") == "horizontal" else "x")
    if is_place and any("categories" in one or one["kind"] in ("box", "violin") for one in series):
        return "category"
    # The places of bars that lie stand under x all the same.
    known = "x" if is_place else name
    values = [value for one in series[:1] for value in one.get(known, [])[:20] if isinstance(value, str)]
    return "linear" if not values else "datetime" if all(_DATE.match(value) for value in values) else "category"


def _words(title: Any) -> str:
    """A title is a text, or has one, which may be in a few tags of HTML."""
    words = title.get("text") if isinstance(title, dict) else title
    return re.sub(r"<[^<>]{0,100}>", " ", text(words)).strip() if isinstance(words, str) else ""


def _subplot_title(layout: Json, axes: list[Json]) -> str:
    """Plotly writes it as a note above the middle of the subplot."""
    domains = [axis.get("domain") or [0, 1] for axis in axes]
    for note in layout.get("annotations") or []:
        if isinstance(note, dict) and note.get("xref") == note.get("yref") == "paper" and not note.get("showarrow", True):
            place = note.get("x"), note.get("y")
            if all(isinstance(at, (int, float)) for at in place) and np.allclose(place, (sum(domains[0]) / 2, domains[1][1])):
                return _words(note)
    return ""
