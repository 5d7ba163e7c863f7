"""What is told of variables, and that nothing of the user's runs for it."""

import datetime
import pathlib
import time
import types
import unittest
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from decimal import Decimal

import numpy as np
import pandas as pd

from kernelbox.kernels.variables import variables

ran = []


def bomb(name):
    def method(*_):
        ran.append(name)
        raise ValueError(name)

    return method


_METHODS = "repr str len sizeof iter hash eq ne bool dir format getattr getitem contains reduce deepcopy index int array"
_BOMBS = {f"__{name}__": bomb(name) for name in _METHODS.split()}


class Metaclass(type):
    __eq__ = bomb("meta eq")
    __hash__ = bomb("meta hash")
    __instancecheck__ = bomb("meta instancecheck")
    __subclasscheck__ = bomb("meta subclasscheck")
    __getattribute__ = bomb("meta getattribute")
    __name__ = property(bomb("meta name"))
    __module__ = property(bomb("meta module"))


def hostile(base=object, metaclass=type, **more):
    return metaclass("Hostile", (base,), {**_BOMBS, **more})


def told(**names):
    return {entry["name"]: (entry["shape"], entry["size_bytes"], entry["preview"]) for entry in variables(names)["variables"]}


def previews(*values):
    return [told(x=value)["x"][2] for value in values]


class SafeValues(unittest.TestCase):
    def test_builtins_are_shown_in_short(self):
        self.assertEqual(
            previews(None, True, 7, 2.5, 1j, "é\n", b"x", range(3), Decimal("1.50"), ..., [1, "a"], (1,), (), {1}, set(), {"a": [None]}),
            ["None", "True", "7", "2.5", "1j", "'é\\n'", "b'x'", "range(0, 3)", "Decimal('1.50')", "Ellipsis", "[1, 'a']", "(1,)", "()", "{1}"]
            + ["set()", "{'a': [None]}"],
        )
        self.assertEqual(
            previews(deque([1]), Counter("aa"), OrderedDict(b=1), defaultdict(list, {1: []})), ["[1]", "{'a': 2}", "{'b': 1}", "{1: []}"]
        )
        self.assertEqual(told(x=[1, 2])["x"][:2], ([2], [1, 2].__sizeof__() + 16))

    def test_times_and_paths(self):
        utc = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
        self.assertEqual(
            previews(utc, utc.date(), utc.time(), datetime.timedelta(seconds=90), pathlib.Path("/tmp") / "x"),
            ["2026-01-02T03:04:05+00:00", "2026-01-02", "03:04:05", "0:01:30", "/tmp/x"],
        )

    def test_arrays_and_frames(self):
        self.assertEqual(told(x=np.arange(6).reshape(2, 3))["x"], ([2, 3], 48, "int64 [0, 1, 2, 3, 4, 5]"))
        self.assertEqual(previews(np.float64(1.5), np.array([[]]), np.array(["a"])), ["1.5", "float64 []", "<U1 ['a']"])
        frame = pd.DataFrame({"a": [1, 2, 3, 4], "b": ["x", None, "z", "w"], "t": pd.to_datetime(["2026-01-01"] * 4)})
        shape, size, preview = told(x=frame)["x"]
        self.assertEqual((shape, size), ([4, 3], int(frame.memory_usage(deep=False).sum())))
        self.assertTrue(preview.startswith("'a' int64 [1, 2, 3]; 'b' str ['x', nan, 'z']; 't' datetime64"), preview)
        self.assertEqual(told(x=frame["a"])["x"], ([4], int(frame["a"].memory_usage(deep=False)), "[1, 2, 3, 4]"))
        wide = told(x=pd.DataFrame(np.zeros((1, 2_000))))["x"]
        self.assertIn("1990 more columns", wide[2])

    def test_code_comes_last_and_what_is_not_the_users_not_at_all(self):
        def function(a, b=1, *, c=2):
            pass

        names = {"m": types, "f": function, "K": SafeValues, "x": 1, "_hidden": 2, "In": [], "Out": {}, "exit": 1, 3: 4}
        self.assertEqual([entry["name"] for entry in variables(names)["variables"]], ["x", "m", "f", "K"])
        self.assertEqual([told(**{"f": function, "m": types})[name][2] for name in "fm"], ["(a, b, c)", "types"])


class Bounds(unittest.TestCase):
    def test_of_many_the_last_are_told_in_the_order_of_their_definition(self):
        answer = variables({"f": bomb, **{f"v{n}": n for n in range(10_000)}})
        self.assertEqual([entry["name"] for entry in answer["variables"]], [f"v{n}" for n in range(9_900, 10_000)])
        self.assertEqual(answer["left_out"], 9_901)

    def test_large_and_deep_values_take_no_time_and_little_text(self):
        deep = []
        for _ in range(100_000):
            deep = [deep]
        self.addCleanup(self.unravel, deep)
        itself = [1]
        itself.append(itself)
        values = [
            "x" * 10**8,
            10**100_000,
            [[0] * 1_000] * 1_000,
            dict.fromkeys(range(10**6)),
            np.zeros(10**7),
            deep,
            itself,
            np.array(["x" * 10**6]),
        ]
        began = time.monotonic()
        shown = previews(*values)
        self.assertLess(time.monotonic() - began, 0.5)
        self.assertTrue(all(preview is None or len(preview) <= 200 for preview in shown), [len(preview or "") for preview in shown])
        self.assertEqual(shown[5:7], ["[[[[…]]]]", "[1, [1, [1, […]]]]"])
        self.assertEqual(shown[1], "<int of 332193 bits>")

    def unravel(self, deep):
        while deep:
            deep = deep.pop()

    def test_names_and_text_that_are_no_unicode_are_escaped(self):
        name = "\ud800" + "n" * 1_000
        [entry] = variables({name: "\udfff"})["variables"]
        self.assertTrue(entry["name"].startswith("\\ud800nnn") and len(entry["name"]) < 120)
        self.assertEqual(entry["preview"], "'\\udfff'")
        str(entry).encode()


class HostileValues(unittest.TestCase):
    def assert_untouched(self, **names):
        ran.clear()
        answer = variables(names)["variables"]
        self.assertEqual(ran, [])
        self.assertEqual(len(answer), len(names))
        return {entry["name"]: entry for entry in answer}

    def test_objects_are_never_asked(self):
        plain = hostile(__getattribute__=bomb("getattribute"), __class__=property(bomb("class")), __dict__=property(bomb("dict")))()
        meta = hostile(metaclass=Metaclass)
        entries = self.assert_untouched(plain=plain, instance=object.__new__(meta), kind=meta, items=[plain], nested={"k": (plain,)})
        self.assertEqual(entries["plain"]["type"].rpartition(".")[2], "Hostile")
        self.assertEqual([entries[name]["preview"] for name in ("plain", "instance")], [None, None])
        self.assertRegex(entries["items"]["preview"], r"^\[<.*Hostile>\]$")

    def test_subclasses_are_shown_by_what_they_are_made_of(self):
        made = {base.__name__: base.__new__(hostile(base)) for base in (list, dict, set, tuple, str, int, float, bytes, deque)}
        entries = self.assert_untouched(**made)
        self.assertTrue(all(entry["preview"] is None and entry["size_bytes"] is None for entry in entries.values()))
        self.assertEqual(entries["list"]["shape"], [0])
        Point = namedtuple("Point", "x y")
        self.assertEqual(self.assert_untouched(p=Point(1, 2))["p"]["shape"], [2])

    def test_what_holds_hostile_values_is_shown_without_them(self):
        Item = hostile(__hash__=lambda self: 1)
        item, zone = Item(), type("Zone", (datetime.tzinfo,), dict.fromkeys(("utcoffset", "tzname", "dst", "__repr__"), bomb("zone")))()
        objects = np.empty(2, dtype=object)
        objects[0] = objects[1] = item
        frame = pd.DataFrame({"o": objects})
        frame.attrs["x"] = item
        labels = pd.DataFrame([[1]], columns=pd.Index([item], dtype=object))
        path = pathlib.PurePosixPath(hostile(str, __fspath__=lambda self: "x")("a"))
        entries = self.assert_untouched(
            keys={item: 1}, objects=objects, frame=frame, labels=labels, when=datetime.datetime(2026, 1, 1, tzinfo=zone), path=path
        )
        self.assertEqual([entries[name]["preview"] for name in ("when", "path")], [None, None])
        self.assertRegex(entries["frame"]["preview"], r"^'o' object \[<.*Hostile>, <.*Hostile>\]$")

    def test_frames_and_arrays_of_the_users_own_kind(self):
        Frame = type("DataFrame", (pd.DataFrame,), {"shape": property(bomb("shape")), "_mgr": property(bomb("mgr")), "__module__": "pandas"})
        Array = type("ndarray", (np.ndarray,), {"shape": property(bomb("shape")), "nbytes": property(bomb("nbytes")), "__module__": "numpy"})
        entries = self.assert_untouched(frame=object.__new__(Frame), array=np.zeros(2).view(Array))
        self.assertEqual([(entry["shape"], entry["preview"]) for entry in entries.values()], [(None, None)] * 2)
