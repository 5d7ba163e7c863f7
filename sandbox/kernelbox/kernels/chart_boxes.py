"""Box plots, found by their shape: matplotlib keeps no word of which lines belong to one box, and patches and seaborn's draw them otherwise."""

from collections import defaultdict
from typing import Any

import numpy as np
from matplotlib import patches, rcParams

from . import chart_values as limits
from .chart_values import Json, floats, number, numbers, text

# A rectangle and a notched one, closed.
_CORNERS = (5, 11)


def read_boxes(reader: Any) -> list[Json]:
    shapes = [(one, floats_of_patch(one)) for one in reader.axes.patches if type(one) is patches.PathPatch and id(one) not in reader.used]
    drawn = [(one, floats(one.get_xdata(orig=False)), floats(one.get_ydata(orig=False))) for one in reader.axes.lines if id(one) not in reader.used]
    for line, x, y in drawn:
        if len(x) in _CORNERS and x[0] == x[-1] and y[0] == y[-1] and np.ptp(x) > 0:
            shapes.append((line, np.column_stack([x, y])))
    if not shapes:
        return []
    # All parts of a box have its middle, across the direction of the values.
    middles: tuple[dict[float, list[Any]], dict[float, list[Any]]] = (defaultdict(list), defaultdict(list))
    for line, *sides in drawn:
        for at in (0, 1):
            if len(sides[at]):
                middles[at][_middle(sides[at])].append((line, sides[1 - at], sides[at]))
    boxes = []
    for shape, corners in shapes[: limits.POINTS]:
        for at in (0, 1):
            parts = [part for part in middles[at].get(_middle(corners[:, at]), []) if part[0] is not shape]
            values = corners[:, 1 - at]
            # Notches may reach past the quartiles; these are where the outline begins and half way along it.
            box = _box(values[[0, 5]] if len(values) >= max(_CORNERS) else values, parts)
            if box is not None:
                where = _middle(corners[:, at])
                scale = reader.x if at == 0 else reader.y
                name = (scale.names(np.array([where]), 0.5) or numbers([where]))[0]
                label = {"kind": "box", "label": text(name), "orientation": "vertical" if at == 0 else "horizontal"}
                group = reader.label(shape)
                boxes.append(label | ({"group": group} if group is not None and group != label["label"] else {}) | box)
                reader._use([shape, *(part[0] for part in parts)])
                break
    return boxes


def _middle(values: Any) -> float:
    return float(f"{(float(values.min()) + float(values.max())) / 2:.9g}")


def floats_of_patch(patch: Any) -> Any:
    return np.asarray(patch.get_path().vertices, dtype=float)


def _box(values: Any, parts: list[Any]) -> Json | None:
    """From the corners' values and the lines around the same middle, each with its values and its places across."""
    q1, q3 = float(values.min()), float(values.max())
    ends, flats, marks = [], [], []
    for line, along, across in parts:
        if len(along) == 2 and across[0] == across[1] and (q1 in along or q3 in along):
            ends.append(along)
        elif len(along) == 2 and along[0] == along[1] and across[0] != across[1]:
            flats.append(float(along[0]))
        elif line.get_linestyle() in ("None", "none", "", " ") and np.ptp(across) == 0:
            marks.append((line, along))
    if len(ends) < 2:
        return None
    low, high = min(float(end.min()) for end in ends), max(float(end.max()) for end in ends)
    # The caps were drawn before the median, and can lie at the same values.
    centres = [*flats]
    for cap in (low, high):
        if cap in centres:
            centres.remove(cap)
    centres = [value for value in centres if q1 <= value <= q3] or [value for value in flats if q1 <= value <= q3]
    if not centres:
        return None
    means = centres[1:]
    # A mean is marked before the outliers are, or alone: as no outlier can be, or with the mark of means.
    if marks and len(marks[0][1]) == 1:
        line, (value,) = marks[0]
        if len(marks) > 1 or low <= value <= high or line.get_marker() == rcParams["boxplot.meanprops.marker"]:
            means.append(float(value))
            del marks[0]
    outliers = np.sort(np.concatenate([along for _, along in marks])) if marks else np.array([])
    box: Json = {"min": number(low), "q1": number(q1), "median": number(centres[0]), "q3": number(q3), "max": number(high)}
    if means:
        box["mean"] = number(means[0])
    box["outliers"] = numbers(outliers[: limits.MATRIX_CELLS])
    if len(outliers) > limits.MATRIX_CELLS:
        box["outliers_total"] = len(outliers)
    return box
