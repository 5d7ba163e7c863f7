import base64
import json
import unittest

from kernelbox import limits
from kernelbox.mime import pack

PICTURE = base64.b64encode(b"picture").decode()


def nested(levels):
    value = 1
    for _ in range(levels):
        value = [value]
    return value


class Mime(unittest.TestCase):
    def test_pictures_come_as_bytes_and_text_as_it_is(self):
        packed, metadata, attachments = pack({"text/plain": "x", "image/png": PICTURE, "application/json": {"a": 1}}, {"width": 5})
        self.assertEqual(packed, {"text/plain": "x", "image/png": {"$attachment": [0, 7]}, "application/json": {"a": 1}})
        self.assertEqual((metadata, attachments), ({"width": 5}, b"picture"))

    def test_what_not_everybody_can_read_is_left_out_and_said(self):
        for value in ({"$attachment": [0, 9]}, {"$omitted": 1, "a": 2}, nested(limits.JSON_DEPTH + 1), nested(6_000), {"a": float("nan")}, [1e999]):
            packed, _, _ = pack({"application/json": value, "text/plain": "x"}, None)
            self.assertEqual(packed, {"application/json": {"$omitted": 0}, "text/plain": "x"})
        for value in (nested(6_000), [float("nan")]):
            self.assertEqual(pack({}, {"a": value})[1], {})
        packed, _, _ = pack({"application/json": nested(limits.JSON_DEPTH - 1), "text/html": None, "text/plain": 5}, None)
        json.dumps(packed, allow_nan=False)
        self.assertEqual(packed["text/plain"], 5)
        self.assertIsInstance(packed["application/json"], list)

    def test_everything_is_bounded(self):
        packed, _, attachments = pack({"image/png": base64.b64encode(bytes(limits.ATTACHMENT_BYTES + 1)).decode()}, None)
        self.assertEqual((packed, attachments), ({"image/png": {"$omitted": limits.ATTACHMENT_BYTES + 1}}, b""))
        packed, _, _ = pack({"text/html": "x" * limits.TEXT_BYTES}, None)
        self.assertEqual(packed, {"text/html": {"$omitted": limits.TEXT_BYTES + 2}})
        packed, _, _ = pack({f"x/{n}": "\0" * 600_000 for n in range(9)}, None)
        told = sum(len(value) for value in packed.values() if isinstance(value, str))
        self.assertLessEqual(6 * told, limits.BUNDLE_BYTES)
        self.assertEqual(list(packed.values()).count({"$omitted": 3_600_002}), 9 - limits.BUNDLE_BYTES // 3_600_002)
        packed, metadata, _ = pack({f"x/{n}": "" for n in range(limits.MIME_TYPES + 9)}, {"a": "x" * 20_000})
        self.assertEqual((len(packed), metadata), (limits.MIME_TYPES, {}))

    def test_what_is_no_bundle_is_an_empty_one(self):
        self.assertEqual(pack(["text/plain"], 5), ({}, {}, b""))
        self.assertEqual(pack({5: "x", "image/png": "not base64!", "y" * 200: "z"}, None)[0].get("y" * 200), None)
