import json
import unittest

from kernelbox import limits
from kernelbox.event_log import EventLog


def read(message: bytes) -> dict:
    size = int.from_bytes(message[:4], "big")
    return json.loads(message[4 : 4 + size])


class Log(unittest.TestCase):
    def setUp(self):
        self.sent = []
        self.log = EventLog("exe", "ctx", lambda message, hold: self.sent.append(read(message)))

    def stream(self, size=1_000):
        self.log.append("stream", {"name": "stdout", "text": "x" * size})

    def numbers(self):
        return [event["seq"] for event in self.sent]

    def test_numbers_events_without_holes_and_sends_them(self):
        for _ in range(5):
            self.stream()
        self.log.finish({"state": "ok"})
        self.assertEqual(self.numbers(), [1, 2, 3, 4, 5, 6])

    def test_is_full_at_its_bounds_and_not_after_an_acknowledgement(self):
        while not self.log.is_full:
            self.stream(60_000)
        self.assertLess(self.log.last, limits.UNACKED_BYTES // 60_000 + 2)
        self.log.acknowledge(self.log.last)
        self.assertFalse(self.log.is_full)
        for _ in range(limits.UNACKED_EVENTS):
            self.stream(1)
        self.assertTrue(self.log.is_full)

    def test_replays_what_comes_after_a_number(self):
        for _ in range(10):
            self.stream()
        self.log.acknowledge(10)
        self.sent.clear()
        self.log.replay(7)
        self.assertEqual(self.numbers(), [8, 9, 10])

    def test_dropping_keeps_first_and_last_and_says_what_is_missing(self):
        self.stream()
        self.log.drop()
        for n in range(5_000):
            self.log.append("stream", {"name": "stdout", "text": f"{n:01000}"})
        self.log.finish({"state": "ok"})
        kinds = [event["type"] for event in self.sent]
        self.assertEqual((kinds[0], kinds[1], kinds[-1]), ("stream", "gap", "status"))
        self.assertEqual(self.numbers(), list(range(1, len(self.sent) + 1)))
        gap = self.sent[1]["data"]
        self.assertEqual(gap["events"] + len(self.sent) - 3, 5_000)
        self.assertEqual(int(self.sent[-2]["data"]["text"]), 4_999)

    def test_memory_stays_bounded_for_acknowledged_events(self):
        for _ in range(400):
            self.stream(60_000)
            self.log.acknowledge(self.log.last)
        self.assertLessEqual(self.log.kept_bytes, limits.UNACKED_BYTES + 70_000)

    def test_text_that_is_no_text_still_leaves_as_utf8(self):
        self.log.append("stream", {"name": "stdout", "text": "a\udc80b"})
        self.assertEqual(self.sent[0]["data"]["text"], "a?b")
