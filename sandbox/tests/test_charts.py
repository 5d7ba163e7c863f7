import datetime
import json
import os
import time
import unittest
import warnings

os.environ["MPLCONFIGDIR"] = "/tmp/.mpl-test"
os.environ["PLOTLY_RENDERER"] = "plotly_mimetype"

try:
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt
    import numpy as np
    import pandas as pd
    from IPython.core.formatters import DisplayFormatter

    from kernelbox.kernels import chart_values, charts
except ImportError:
    raise unittest.SkipTest("needs the image's packages") from None

try:
    import plotly.graph_objects as go
    import seaborn as sns
    from plotly.subplots import make_subplots
except ImportError:
    sns = go = None

NUMBERS = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 20.0]
FRAME = pd.DataFrame({"g": list("abcabcabc"), "v": NUMBERS, "h": list("xyxyxyxyx")})


def chart(figure=None):
    """As the display's formatter gives it, and as JSON takes it."""
    formatter = charts.ChartFormatter(parent=DisplayFormatter())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = formatter(plt.gcf() if figure is None else figure)
    assert found is None or charts._fits(found)
    return found


class Charts(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        plt.close("all")

    def assertSeries(self, found, kind, *series):
        self.assertEqual(found["kind"], kind, found)
        self.assertEqual(len(found["series"]), len(series), found)
        for one, expected in zip(found["series"], series, strict=True):
            self.assertEqual({name: one.get(name) for name in expected}, expected)


class Lines(Charts):
    def test_a_line_has_titles_axes_and_its_points(self):
        plt.plot([1, 2, 3], [0.1 + 0.2, float("nan"), float("inf")], label="profit")
        plt.title("Year")
        plt.xlabel("month")
        plt.ylabel("EUR")
        self.assertEqual(
            chart(),
            {
                **{"kind": "line", "title": "Year", "x_label": "month", "y_label": "EUR", "x_scale": "linear", "y_scale": "linear"},
                "series": [{"label": "profit", "x": [1, 2, 3], "y": [0.3, None, None]}],
            },
        )

    def test_times_and_log_axes(self):
        days = [datetime.datetime(2024, 1, 1), datetime.datetime(2024, 1, 2, 12, 30)]
        plt.plot(days, [1, 10])
        plt.yscale("log")
        found = chart()
        self.assertEqual((found["x_scale"], found["y_scale"]), ("datetime", "log"))
        self.assertSeries(found, "line", {"x": ["2024-01-01", "2024-01-02T12:30"]})
        for index in (
            pd.date_range("2024-01-01", periods=3),
            pd.date_range("2024-01-01", periods=3).to_numpy(),
            pd.period_range("2024-01-01", periods=3),
        ):
            plt.close("all")
            pd.Series([1, 2, 3], index=index).plot()
            self.assertSeries(chart(), "line", {"x": ["2024-01-01", "2024-01-02", "2024-01-03"], "y": [1, 2, 3]})

    def test_names_of_categories_and_of_the_legend(self):
        plt.plot(["a", "b"], [1, 2])
        plt.plot(["a", "b"], [3, 4])
        plt.legend(["one", "two"])
        self.assertSeries(chart(), "line", {"label": "one", "x": ["a", "b"]}, {"label": "two", "y": [3, 4]})

    def test_a_limit_is_a_reference_also_on_axes_that_are_the_unit_square(self):
        plt.plot([0, 1], [0, 1])
        plt.axhline(0.5, label="limit")
        plt.axvline(0.3)
        self.assertSeries(
            chart(), "line", {"x": [0, 1], "y": [0, 1]}, {"kind": "reference", "axis": "y", "value": 0.5, "label": "limit"}, {"axis": "x"}
        )

    def test_many_points_are_thinned_evenly_and_counted(self):
        values = np.sin(np.arange(1_000_000) / 1e5)
        values[123_457] = 99
        plt.plot(values)
        (one,) = chart()["series"]
        self.assertEqual((len(one["x"]), one["x"][0], one["x"][-1]), (chart_values.POINTS, 0, 999_999))
        self.assertEqual((one["points_total"], one["y_max"]), (1_000_000, 99))

    def test_markers_alone_are_a_scatter(self):
        plt.plot([1, 2], [3, 4], "o")
        self.assertSeries(chart(), "scatter", {"x": [1, 2], "y": [3, 4]})

    def test_polar_and_three_dimensions(self):
        plt.polar([1, 2], [3, 4])
        self.assertEqual(chart()["projection"], "polar")
        axes = plt.figure().add_subplot(projection="3d")
        axes.scatter([1, 2], [3, 4], [5, 6])
        self.assertSeries(chart(), "scatter", {"x": [1, 2], "y": [3, 4], "z": [5, 6]})


class Bars(Charts):
    def test_upright_and_lying(self):
        plt.bar(["a", "b"], [3, 4], yerr=[1, 0.5])
        found = chart()
        self.assertEqual((found["orientation"], found["x_scale"]), ("vertical", "category"))
        self.assertSeries(found, "bar", {"categories": ["a", "b"], "values": [3, 4], "low": [2, 3.5], "high": [4, 4.5]})
        plt.close("all")
        plt.barh(["a", "b"], [3, 4])
        self.assertEqual((chart()["orientation"], chart()["y_scale"]), ("horizontal", "category"))
        self.assertSeries(chart(), "bar", {"categories": ["a", "b"], "values": [3, 4]})

    def test_grouped_and_stacked(self):
        table = FRAME.pivot_table(index="g", columns="h", values="v")
        table.plot.bar()
        self.assertEqual(chart()["arrangement"], "grouped")
        self.assertSeries(chart(), "bar", {"label": "x", "categories": ["a", "b", "c"], "values": [4, 5, 11.5]}, {"label": "y", "values": [4, 5, 6]})
        table.plot.barh(stacked=True)
        self.assertEqual((chart()["arrangement"], chart()["orientation"]), ("stacked", "horizontal"))
        self.assertSeries(chart(), "bar", {"values": [4, 5, 11.5]}, {"values": [4, 5, 6], "base": [4, 5, 11.5]})
        plt.figure()
        for at, label in ((-0.2, "p"), (0.2, "q")):
            plt.bar(np.arange(3) + at, [1, 2, 3], 0.4, label=label)
        self.assertSeries(chart(), "bar", {"label": "p", "x": [-0.2, 0.8, 1.8]}, {"label": "q"})

    def test_on_times(self):
        plt.bar(pd.date_range("2024-01-01", periods=2), [1, 2])
        self.assertSeries(chart(), "bar", {"x": ["2024-01-01", "2024-01-02"]})

    @unittest.skipIf(sns is None, "full image")
    def test_of_seaborn_with_its_errors(self):
        sns.barplot(FRAME, x="g", y="v", errorbar=("pi", 100))
        self.assertSeries(
            chart(),
            "bar",
            {"categories": ["a", "b", "c"], "values": [4, 5, 29 / 3], "low": [1, 2, 3], "high": [7, 8, 20]} | {"values": [4, 5, 9.66666666667]},
        )
        plt.close("all")
        sns.barplot(FRAME, x="g", y="v", hue="h")
        self.assertSeries(chart(), "bar", {"label": "x", "values": [4, 5, 11.5]}, {"label": "y", "values": [4, 5, 6]})
        plt.close("all")
        sns.countplot(FRAME, y="g")
        self.assertEqual(chart()["orientation"], "horizontal")
        self.assertSeries(chart(), "bar", {"values": [3, 3, 3]})


class Histograms(Charts):
    def test_bins_and_counts(self):
        counts, edges, _ = plt.hist(NUMBERS, bins=4, label="v")
        expected = {"label": "v", "edges": chart_values.numbers(edges), "counts": [int(n) for n in counts]}
        self.assertSeries(chart(), "histogram", expected)
        for options in (
            {"histtype": "step"},
            {"histtype": "stepfilled"},
            {"orientation": "horizontal"},
            {"histtype": "step", "orientation": "horizontal"},
        ):
            plt.close("all")
            plt.hist(NUMBERS, bins=4, label="v", **options)
            self.assertSeries(chart(), "histogram", expected)
            self.assertEqual(chart()["orientation"], options.get("orientation", "vertical"))

    def test_several_side_by_side_and_stacked(self):
        for options, arrangement in (({}, "grouped"), ({"stacked": True}, "stacked")):
            plt.close("all")
            plt.hist([NUMBERS, [1, 2, 2]], bins=[0.5, 5.3, 10.1, 14.9, 19.7], label=["p", "q"], **options)
            self.assertEqual(chart()["arrangement"], arrangement)
            self.assertSeries(
                chart(),
                "histogram",
                {"label": "p", "edges": [0.5, 5.3, 10.1, 14.9, 19.7], "counts": [5, 3, 0, 0]},
                {"label": "q", "counts": [3, 0, 0, 0]},
            )

    def test_of_pandas_stairs_and_seaborn(self):
        FRAME.plot.hist(bins=[0, 5, 20])
        self.assertSeries(chart(), "histogram", {"label": "v", "edges": [0, 5, 20], "counts": [4, 5]})
        plt.figure()
        plt.stairs([1, 2], [0, 1, 3])
        self.assertSeries(chart(), "histogram", {"edges": [0, 1, 3], "counts": [1, 2]})
        if sns is not None:
            plt.figure()
            sns.histplot(FRAME, x="v", bins=[0, 5, 20], hue="h")
            self.assertSeries(chart(), "histogram", {"label": "y", "counts": [2, 2]}, {"label": "x", "counts": [2, 3]})

    def test_wide_bars_with_names_are_bars(self):
        pd.Series([1, 2], index=["a", "b"]).plot.bar(width=1.0)
        self.assertSeries(chart(), "bar", {"categories": ["a", "b"]})


class Boxes(Charts):
    BOXES = (
        {"label": "u", "min": 1, "q1": 2, "median": 3, "q3": 4, "max": 4, "outliers": [20]},
        {"label": "v", "min": 2, "q1": 2.5, "median": 3, "q3": 3.5, "max": 4},
    )

    def test_however_they_are_drawn(self):
        for options in (
            {},
            {"patch_artist": True},
            {"notch": True},
            {"notch": True, "patch_artist": True},
            {"showcaps": False},
            {"orientation": "horizontal"},
        ):
            with self.subTest(**options):
                plt.close("all")
                plt.boxplot([[1, 2, 3, 4, 20], [2, 3, 4]], tick_labels=["u", "v"], **options)
                found = chart()
                self.assertSeries(found, "box", *self.BOXES)
                self.assertEqual((found["orientation"], found["series"][1]["outliers"]), (options.get("orientation", "vertical"), []))

    def test_means_are_no_outliers(self):
        for options in ({"showmeans": True}, {"showmeans": True, "meanline": True}, {"showmeans": True, "showfliers": False}):
            plt.close("all")
            plt.boxplot([[1, 2, 3, 4, 5.5, 6, 30]], **options)
            (box,) = chart()["series"]
            self.assertEqual((box["median"], box["outliers"]), (4, [30] if options.get("showfliers", True) else []))
            if "meanline" not in options:
                self.assertAlmostEqual(box["mean"], 51.5 / 7)

    def test_of_one_value(self):
        plt.boxplot([[5, 5, 5]])
        self.assertSeries(chart(), "box", {"min": 5, "q1": 5, "median": 5, "q3": 5, "max": 5, "outliers": []})

    def test_of_pandas(self):
        FRAME.boxplot(column="v", by="g")
        self.assertSeries(chart()["charts"][0], "box", *({"label": name, "median": at} for name, at in zip("abc", (4, 5, 6), strict=True)))

    @unittest.skipIf(sns is None, "full image")
    def test_of_seaborn(self):
        sns.boxplot(FRAME, x="g", y="v")
        self.assertSeries(chart(), "box", *({"label": name, "median": at} for name, at in zip("abc", (4, 5, 6), strict=True)))
        plt.figure()
        sns.boxplot(FRAME, x="v", y="g", hue="h")
        self.assertEqual(chart()["orientation"], "horizontal")
        self.assertEqual(
            [(box["label"], box["group"], box["median"]) for box in chart()["series"]][:3], [("a", "x", 4), ("b", "x", 5), ("c", "x", 11.5)]
        )


class Others(Charts):
    def test_pies(self):
        plt.pie([1, 3], labels=["a", "b"], autopct="%d%%")
        self.assertSeries(chart(), "pie", {"labels": ["a", "b"], "fractions": [0.25, 0.75]})
        plt.close("all")
        pd.Series([1, 3], index=["a", "b"]).plot.pie()
        self.assertSeries(chart(), "pie", {"labels": ["a", "b"], "fractions": [0.25, 0.75]})

    def test_areas(self):
        plt.fill_between([1, 2, 3], [4, 5, 6], [1, 1, 0])
        self.assertSeries(chart(), "area", {"x": [1, 2, 3], "y": [4, 5, 6], "base": [1, 1, 0]})
        plt.close("all")
        plt.stackplot([1, 2], [4, 5], [1, 1], labels=["a", "b"])
        self.assertSeries(chart(), "area", {"label": "a", "y": [4, 5], "base": None}, {"label": "b", "y": [5, 6], "base": [4, 5]})
        FRAME[["v"]].plot.area()
        self.assertSeries(chart(), "area", {"label": "v", "y": NUMBERS})

    def test_errorbars(self):
        plt.errorbar([1, 2], [3, 4], yerr=[0.5, 1], xerr=0.1, label="e")
        self.assertSeries(chart(), "errorbar", {"label": "e", "x": [1, 2], "y": [3, 4], "y_low": [2.5, 3], "y_high": [3.5, 5], "x_low": [0.9, 1.9]})
        plt.close("all")
        plt.errorbar([1, 2], [3, 4], yerr=[[0.5, 0.5], [1, 1]], fmt="none")
        self.assertSeries(chart(), "errorbar", {"x": [1, 2], "y_low": [2.5, 3.5], "y_high": [4, 5]})

    def test_heatmaps_and_images(self):
        plt.imshow([[1, 2], [3, np.nan]])
        plt.colorbar(label="C")
        found = chart()
        self.assertSeries(found, "heatmap", {"shape": [2, 2], "min": 1, "max": 3, "values": [[1, 2], [3, None]], "value_label": "C"})
        plt.figure()
        plt.pcolormesh([0, 1, 2], [0, 5, 10], [[1, 2], [3, 4]])
        self.assertSeries(chart(), "heatmap", {"extent": [0, 2, 0, 10], "values": [[1, 2], [3, 4]]})
        plt.figure()
        plt.imshow(np.zeros((300, 300)))
        self.assertSeries(chart(), "heatmap", {"shape": [300, 300], "values": None})
        plt.figure()
        plt.imshow(np.zeros((3, 4, 3)))
        self.assertSeries(chart(), "image", {"shape": [3, 4, 3]})
        if sns is not None:
            plt.figure()
            sns.heatmap(pd.DataFrame([[1, 2], [3, 4]], index=["r1", "r2"], columns=["c1", "c2"]), annot=True)
            self.assertSeries(chart(), "heatmap", {"x_categories": ["c1", "c2"], "y_categories": ["r1", "r2"], "values": [[1, 2], [3, 4]]})

    def test_scatter_by_colour(self):
        plt.scatter([1, 2], [3, 4], c=[5, 6])
        self.assertSeries(chart(), "scatter", {"x": [1, 2], "y": [3, 4], "color_values": [5, 6]})
        if sns is not None:
            plt.figure()
            sns.scatterplot(FRAME, x="v", y="v", hue="h")
            self.assertSeries(chart(), "scatter", {"label": "x", "x": [1, 3, 5, 7, 20]}, {"label": "y", "x": [2, 4, 6, 8]})

    @unittest.skipIf(sns is None, "full image")
    def test_seaborns_lines_bands_points_and_violins(self):
        sns.lineplot(FRAME, x="g", y="v", errorbar=("pi", 100))
        self.assertSeries(chart(), "line", {"x": ["a", "b", "c"], "y": [4, 5, 9.66666666667]}, {"kind": "area", "base": [1, 2, 3], "y": [7, 8, 20]})
        plt.figure()
        sns.pointplot(FRAME, x="g", y="v", errorbar=("pi", 100))
        self.assertSeries(chart(), "line", {"y": [4, 5, 9.66666666667], "y_low": [1, 2, 3], "y_high": [7, 8, 20]})
        plt.figure()
        sns.violinplot(FRAME, x="g", y="v")
        self.assertSeries(chart(), "violin", {"label": "a"}, {"label": "b"}, {"label": "c"})

    def test_stems_contours_and_notes(self):
        plt.stem([1, 2, 3])
        plt.annotate("peak", (2, 3))
        self.assertSeries(chart(), "stem", {"y": [1, 2, 3]})
        self.assertEqual(chart()["annotations"], [{"text": "peak", "x": 2, "y": 3}])
        plt.figure()
        plt.contourf([[1, 2], [3, 4]])
        self.assertSeries(chart(), "contour", {"min": 1, "max": 4})

    def test_what_is_not_known_is_said(self):
        plt.quiver([1], [2], [3], [4])
        self.assertEqual((chart()["kind"], chart()["series"], chart()["not_read"]), ("unknown", [], ["Quiver"]))
        plt.bar([1, 2], [1, 2])
        plt.plot([1, 2], [3, 4], label="l")
        found = chart()
        self.assertEqual((found["kind"], [one["kind"] for one in found["series"]]), ("mixed", ["bar", "line"]))

    def test_subplots_and_figures_without_any(self):
        _, axes = plt.subplots(2, 2)
        plt.suptitle("All")
        axes[0, 0].plot([1, 2])
        axes[1, 1].bar(["a"], [1])
        found = chart()
        self.assertEqual((found["kind"], found["title"], [one["kind"] for one in found["charts"]]), ("figure", "All", ["line", "bar"]))
        self.assertIsNone(chart(plt.figure()))
        plt.subplots(8, 8)
        for one in plt.gcf().axes:
            one.plot([1, 2])
        self.assertEqual((len(chart()["charts"]), chart()["charts_total"]), (chart_values.CHARTS, 64))


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
        for value in (1, "x", FRAME, np.zeros(3)):
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


if __name__ == "__main__":
    unittest.main()
