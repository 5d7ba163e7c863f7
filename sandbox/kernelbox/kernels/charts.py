"""A figure as data beside its picture, so that a model that reads text knows what it shows.

A matplotlib figure gets it from a formatter, which IPython asks whenever a figure is displayed. A plotly figure publishes its own JSON and asks no
formatter, so there it is added to the message. Whatever goes wrong costs the chart and nothing else.
"""

import json
import sys
import warnings
from collections.abc import Callable
from typing import Any

from IPython.core.formatters import BaseFormatter
from traitlets import ObjectName, Unicode

CHART_TYPE = "application/vnd.kernelbox.chart+json"
_PLOTLY_TYPE = "application/vnd.plotly.v1+json"


class ChartFormatter(BaseFormatter):
    format_type = Unicode(CHART_TYPE)
    print_method = ObjectName("_kernelbox_chart_")
    _return_type = dict

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        # By name: nothing is imported for code that shows no figure.
        self.for_type_by_name("matplotlib.figure", "Figure", _of_figure)

    def pop(self, typ: Any, default: Any = None) -> Any:
        """Nothing goes: choosing the pictures' formats, as the import of pyplot does, takes figures out of every formatter."""
        return default


def register(shell: Any) -> None:
    """Has the shell's displays bring charts along, and pandas' styled frames their text."""
    formatters = shell.display_formatter.formatters
    formatters[CHART_TYPE] = ChartFormatter(parent=shell.display_formatter)
    formatters["text/plain"].for_type_by_name("pandas.io.formats.style", "Styler", _print_styled)
    shell.display_pub.register_hook(_with_plotly_chart)


def _of_figure(figure: Any) -> dict[str, Any] | None:
    def read(points: int | None) -> Any:
        from .chart_figure import chart_of

        return chart_of(figure, points)

    return _bounded(read)


def _with_plotly_chart(message: Any) -> Any:
    content = message.get("content")
    data = content.get("data") if isinstance(content, dict) else None
    if isinstance(data, dict) and _PLOTLY_TYPE in data:

        def read(points: int | None) -> Any:
            from .chart_plotly import chart_of

            return chart_of(data[_PLOTLY_TYPE], points)

        chart = _bounded(read)
        if chart is not None:
            data[CHART_TYPE] = chart
    return message


def _bounded(read: Callable[[int | None], Any]) -> dict[str, Any] | None:
    """The chart with as many points as fit; None where there is none, or where the figure's parts do not answer as they should."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for points in (None, 100, 20, 5):
                chart = read(points)
                if chart is None or _fits(chart):
                    return chart if isinstance(chart, dict) else None
    except Exception:  # noqa: BLE001
        pass
    return None


def _fits(chart: Any) -> bool:
    from .chart_values import CHART_BYTES

    return len(json.dumps(chart, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")) <= CHART_BYTES


def _print_styled(styled: Any, printer: Any, cycle: bool) -> None:
    """A styled frame says only its address as text."""
    try:
        printer.text(_styled_text(styled))
    except Exception:  # noqa: BLE001
        printer.text(object.__repr__(styled))


def _styled_text(styled: Any) -> str:
    options = sys.modules["pandas"].options.display
    rows, columns = options.max_rows or 60, options.max_columns or 20
    if len(styled.data) > rows or len(styled.data.columns) > columns:
        return repr(styled.data)
    # As it is shown, with what is hidden left away; an invisible character parts the cells, whose own text may have anything else.
    cells = [line.split("\x1f") for line in styled.to_string(delimiter="\x1f").splitlines()]
    width = max((len(line) for line in cells), default=0)
    widths = [max(len(line[at].strip()) if at < len(line) else 0 for line in cells) for at in range(width)]
    return "\n".join("  ".join(cell.strip().rjust(widths[at]) for at, cell in enumerate(line)).rstrip() for line in cells)
