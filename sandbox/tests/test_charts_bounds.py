import json
import time
import unittest

from .test_charts import Charts, DisplayFormatter, chart, chart_values, charts, go, make_subplots, matplotlib, np, pd, plt

NUMBERS = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 20.0]


class Bounds(Charts):
    def test_many_series_and_long_texts(self):
        for at in range(400):
            plt.plot(np.random.default_rng(at).normal(size=500), label="图" * 10_000)
        plt.title("t" * 10_000)
        found = chart()
        self.assertEqual((len(found["series"]), found["series_total"]), (chart_values.SERIES, 400))
        self.assertEqual(len(found["title"]), chart_values.TEXT_CHARACTERS)

    def test_many_boxes_outliers_bins_and_slices(self):
        values = np.random.default_rng(0).standard_cauchy(20_000)
        plt.boxplot([values] * 3)
        self.assertEqual(len(chart()["series"][0]["outliers"]), chart_values.MATRIX_CELLS)
        self.assertGreater(chart()["series"][0]["outliers_total"], 1_000)
        plt.figure()
        plt.hist(values, bins=1_500)
        self.assertEqual(chart()["series"][0]["points_total"], 1_500)

    def test_an_ordinary_figure_takes_less_than_five_milliseconds(self):
        _, axes = plt.subplots(1, 2)
        axes[0].plot(np.arange(1_000), label="a")
        axes[1].bar(list("abcdef"), range(6))
        chart()
        times = []
        for _ in range(20):
            begun = time.perf_counter()
            chart()
            times.append(time.perf_counter() - begun)
        self.assertLess(min(times), 0.005)

    def test_a_hostile_artist_costs_its_own_axes_only(self):
        _, axes = plt.subplots(1, 2)
        axes[0].plot([1, 2])

        class Hostile(type(axes[1].plot([1, 2])[0])):
            def get_xdata(self, orig=True):
                raise RuntimeError("no")

        axes[1].add_line(Hostile([1], [1]))
        found = chart()
        self.assertEqual([one["kind"] for one in found["charts"]], ["line", "unknown"])

        class Broken(matplotlib.figure.Figure):
            def get_suptitle(self):
                raise RuntimeError("no")

        self.assertIsNone(chart(Broken()))

    def test_nothing_is_imported_for_what_is_no_figure(self):
        formatter = charts.ChartFormatter(parent=DisplayFormatter())
        for value in (1, "x", pd.DataFrame({"a": NUMBERS}), np.zeros(3)):
            self.assertIsNone(formatter(value))


@unittest.skipIf(go is None, "full image")
class Plotly(Charts):
    def published(self, figure):
        """What plotly's show() publishes, as the display's hook gives it on."""
        import plotly.io as pio

        self.assertEqual(pio.renderers.default, "plotly_mimetype")
        bundle = pio._renderers.renderers._build_mime_bundle(figure.to_dict(), None)
        self.assertEqual(list(bundle), ["application/vnd.plotly.v1+json"])
        message = charts._with_plotly_chart({"content": {"data": json.loads(json.dumps(bundle))}})
        found = message["content"]["data"].get(charts.CHART_TYPE)
        json.dumps(found, allow_nan=False)
        return found

    def test_lines_points_and_binary_arrays(self):
        figure = go.Figure(go.Scatter(x=np.arange(3), y=np.array([1.5, np.nan, 3]), name="a"))
        figure.add_scatter(x=[1], y=[2], mode="markers", name="b")
        figure.update_layout(title="T <b>bold</b>", xaxis_title="X", yaxis_type="log")
        self.assertIn("bdata", figure.to_json())
        found = self.published(figure)
        self.assertEqual((found["title"], found["x_label"], found["y_scale"], found["kind"]), ("T  bold", "X", "log", "mixed"))
        self.assertEqual(found["series"][0], {"kind": "line", "label": "a", "x": [0, 1, 2], "y": [1.5, None, 3]})

    def test_times(self):
        found = self.published(go.Figure(go.Scatter(x=pd.date_range("2024-01-01", periods=2, freq="12h"), y=[1, 2])))
        self.assertEqual((found["x_scale"], found["series"][0]["x"]), ("datetime", ["2024-01-01", "2024-01-01T12:00:00"]))

    def test_bars_histograms_boxes_pies_heatmaps(self):
        found = self.published(
            go.Figure([go.Bar(y=["a", "b"], x=[1, 2], orientation="h", name="p"), go.Bar(y=["a", "b"], x=[3, 4], orientation="h")])
        )
        self.assertEqual((found["kind"], found["orientation"], found["arrangement"], found["y_scale"]), ("bar", "horizontal", "grouped", "category"))
        self.assertSeries(found, "bar", {"label": "p", "categories": ["a", "b"], "values": [1, 2]}, {"values": [3, 4]})
        found = self.published(go.Figure(go.Histogram(x=NUMBERS, xbins={"start": 0, "end": 20, "size": 5})))
        self.assertSeries(found, "histogram", {"edges": [0, 5, 10, 15, 20], "counts": [4, 4, 0, 1], "approximate": None})
        found = self.published(go.Figure(go.Histogram(x=NUMBERS)))
        self.assertSeries(found, "histogram", {"approximate": True})
        found = self.published(go.Figure(go.Box(y=[1, 2, 3, 4, 5, 50], name="u")))
        self.assertSeries(found, "box", {"label": "u", "min": 1, "q1": 2, "median": 3.5, "q3": 5, "max": 5, "outliers": [50]})
        found = self.published(go.Figure(go.Pie(labels=["a", "b", "a"], values=[1, 2, 1])))
        self.assertSeries(found, "pie", {"labels": ["a", "b"], "values": [2, 2], "fractions": [0.5, 0.5]})
        found = self.published(go.Figure(go.Heatmap(z=[[1, None], [3, 4]], x=["p", "q"], y=["r", "s"])))
        self.assertSeries(found, "heatmap", {"x_categories": ["p", "q"], "values": [[1, None], [3, 4]], "min": 1, "max": 4})

    def test_subplots_unknown_traces_and_bounds(self):
        figure = make_subplots(rows=1, cols=2, subplot_titles=["one", "two"])
        figure.add_bar(x=["a"], y=[1], row=1, col=1)
        figure.add_scatter(y=np.arange(90_000.0), row=1, col=2)
        found = self.published(figure)
        self.assertEqual([(one["kind"], one["title"]) for one in found["charts"]], [("bar", "one"), ("line", "two")])
        line = found["charts"][1]["series"][0]
        self.assertEqual((len(line["y"]), line["points_total"], line["y_max"]), (chart_values.POINTS, 90_000, 89_999))
        found = self.published(go.Figure(go.Sankey(link={"source": [0], "target": [1], "value": [1]})))
        self.assertEqual((found["kind"], found["not_read"]), ("unknown", ["sankey"]))

    def test_what_is_no_figure_costs_only_the_chart(self):
        for value in (None, 5, {"data": 7}, {"data": [{"x": {"bdata": "!", "dtype": "f8"}, "y": [1]}]}, {"data": [5]}, {"data": [{"type": []}]}):
            message = {"content": {"data": {"application/vnd.plotly.v1+json": value, "text/plain": "x"}}}
            self.assertEqual(charts._with_plotly_chart(message)["content"]["data"]["text/plain"], "x")
        for message in ({}, {"content": None}, {"content": {"wait": True}}):
            self.assertIs(charts._with_plotly_chart(message), message)


class Styled(unittest.TestCase):
    def text(self, styled):
        display = DisplayFormatter()
        display.formatters["text/plain"].for_type_by_name("pandas.io.formats.style", "Styler", charts._print_styled)
        return display.formatters["text/plain"](styled)

    def test_is_told_as_it_is_shown(self):
        frame = pd.DataFrame({"name": ["a b", "c"], "share": [0.5, 0.25]})
        self.assertEqual(self.text(frame.style.format({"share": "{:.0%}"})), "   name  share\n0   a b    50%\n1     c    25%")
        self.assertEqual(self.text(frame.style.hide(axis="index")), "name     share\n a b  0.500000\n   c  0.250000")

    def test_a_long_one_is_bounded(self):
        self.assertLess(len(self.text(pd.DataFrame({"a": range(100_000)}).style)), 5_000)

    def test_a_broken_one_says_its_name(self):
        self.assertIn("Styler object", self.text(pd.DataFrame({"a": [1]}).style.format(lambda value: 1 / 0)))
