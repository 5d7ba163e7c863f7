"""A matplotlib figure as a chart: one per axes, and what they are made of."""

from typing import Any

from . import chart_values as limits
from .chart_axes import read_series
from .chart_values import Json, Scale, scalar, text


def chart_of(figure: Any, points: int | None) -> Json | None:
    axes = [one for one in figure.axes if not hasattr(one, "_colorbar") and one.get_visible()]
    if points is None:
        artists = sum(len(one.lines) + len(one.collections) + len(one.containers) for one in axes)
        points = max(limits.POINTS_MIN, min(limits.POINTS, limits.FIGURE_POINTS // max(1, artists)))
    charts = [chart for chart in (_of_axes(one, points) for one in axes[: limits.CHARTS]) if chart is not None]
    title = text(figure.get_suptitle())
    if not charts:
        return None
    if len(charts) == 1 and len(axes) <= limits.CHARTS and not (title and charts[0]["title"]):
        charts[0]["title"] = charts[0]["title"] or title
        return charts[0]
    chart: Json = {"kind": "figure", "title": title, "charts": charts}
    if len(axes) > limits.CHARTS:
        chart["charts_total"] = len(axes)
    return chart


def _of_axes(axes: Any, points: int) -> Json | None:
    """None where nothing is drawn on it. One that cannot be read costs only itself."""
    try:
        return _read_axes(axes, points)
    except Exception:  # noqa: BLE001
        return {"kind": "unknown", "title": "", "series": [], "not_read": [text(type(axes).__name__)]}


def _read_axes(axes: Any, points: int) -> Json | None:
    title = next((found for found in (axes.get_title(loc) for loc in ("center", "left", "right")) if found), "")
    series, not_read = read_series(axes, points)
    if not series and not not_read and not title and not axes.texts:
        return None
    chart: Json = {"kind": _kind(series), "title": text(title)}
    chart["x_label"], chart["y_label"] = text(axes.get_xlabel()), text(axes.get_ylabel())
    chart["x_scale"], chart["y_scale"] = Scale(axes.xaxis).kind, Scale(axes.yaxis).kind
    if series and all("categories" in one or one["kind"] == "box" for one in series):
        chart["y_scale" if series[0].get("orientation") == "horizontal" else "x_scale"] = "category"
    if axes.name != "rectilinear":
        chart["projection"] = text(axes.name)
    if axes.name == "3d":
        chart["z_label"] = text(axes.get_zlabel())
    for name in ("orientation", "arrangement"):
        found = {one.pop(name) for one in series if name in one}
        if len(found) == 1:
            chart[name] = found.pop()
    chart["series"] = [{name: value for name, value in one.items() if name != "kind" or value != chart["kind"]} for one in series[: limits.SERIES]]
    if len(series) > limits.SERIES:
        chart["series_total"] = len(series)
    if not_read:
        chart["not_read"] = sorted(text(name) for name in not_read)[: limits.NAMES]
    notes = [] if chart["kind"] in ("pie", "heatmap") else _annotations(axes)
    if notes:
        chart["annotations"] = notes
    return chart


def _kind(series: list[Json]) -> str:
    """One kind, where all else only goes with it: a line with its band, bars with a limit."""
    kinds = {one["kind"] for one in series}
    if len(kinds) > 1:
        kinds -= {"reference"}
    if len(kinds) > 1:
        kinds = {one["kind"] for one in series if one["kind"] != "reference" and not (one["kind"] == "area" and one["label"] is None)}
    if len(kinds) > 1:
        return "mixed"
    return str(kinds.pop()) if kinds else "unknown"


def _annotations(axes: Any) -> list[Json]:
    notes: list[Json] = []
    for note in axes.texts:
        written = text(note.get_text())
        if len(notes) == limits.ANNOTATIONS:
            break
        if written.strip():
            x, y = getattr(note, "xy", note.get_position())
            is_data = note.xycoords == "data" if hasattr(note, "xycoords") else note.get_transform() is axes.transData
            notes.append({"text": written, "x": scalar(x) if is_data else None, "y": scalar(y) if is_data else None})
    return notes
