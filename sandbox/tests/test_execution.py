import json
import unittest

from kernelbox import limits
from kernelbox.event_log import EventLog
from kernelbox.execution import Execution
from kernelbox.kernel_client import REFUSED, Message


class ExecutionTest(unittest.TestCase):
    def setUp(self):
        self.execution = Execution("exe_1", "ctx_1", "code", 5, {"A": "b"}, EventLog("exe_1", "ctx_1", lambda message, hold: None))
        self.execution.start(1, None, "")

    def output(self, kind, **content):
        self.execution.output(Message(kind, "m", content, {}))

    def test_whatever_comes_late_is_bounded_where_nobody_takes_it(self):
        self.execution.finish("ok", 1, variables="kept", reason=None)
        for kind, content in (
            ("clear_output", {}),
            ("error", {"ename": "E"}),
            ("stream", {"name": "stdout", "text": "x"}),
            ("display_data", {"data": {}}),
        ):
            for _ in range(limits.UNACKED_EVENTS):
                self.output(kind, **content)
        self.assertLessEqual(self.execution.log.last, limits.UNACKED_EVENTS)

    def test_what_is_kept_after_its_end_is_its_events(self):
        self.execution.take_reply({"status": "ok", "execution_count": 3, "payload": ["x" * 1_000]})
        self.execution.finish("ok", 1, variables="kept", reason=None)
        self.assertEqual((self.execution.code, self.execution.env, self.execution.files_before), ("", {}, None))
        self.assertEqual(self.execution.reply, {"status": "ok", "execution_count": 3})

    def test_counts_that_are_none_are_not_told(self):
        for count, told in ((5, 5), (0, 0), (-1, None), (10**30, None), (True, None), (1.5, None), ("5", None)):
            self.execution.reply = {"execution_count": count}
            self.assertEqual(self.execution.execution_count, told, count)

    def test_what_costs_too_much_to_read_is_said(self):
        self.output("display_data", **{REFUSED: 12})
        self.assertEqual(self.execution.notices, ["An output of 12 bytes has too many values to be taken."])

    def events(self):
        kept = [json.loads(each.message[4 : 4 + int.from_bytes(each.message[:4], "big")]) for each in self.execution.log._kept]
        return [(event["type"], event["data"]) for event in kept]

    def test_an_error_that_came_by_both_sockets_is_told_once_and_one_of_the_reply_alone_too(self):
        for has_message in (True, False):
            self.setUp()
            self.execution.take_reply({"status": "error", "ename": "E", "evalue": "of the reply"})
            if has_message:
                self.output("error", ename="E", evalue="of the message", traceback=["line"])
            self.execution.finish("error", 1, variables="kept", reason=None)
            errors = [data["value"] for kind, data in self.events() if kind == "error"]
            self.assertEqual(errors, ["of the message" if has_message else "of the reply"])

    def test_code_that_was_interrupted_by_nobody_of_ours_has_an_error(self):
        for stopping in (None, "timeout"):
            self.setUp()
            self.execution.stopping = stopping
            self.execution.take_reply({"status": "abort", "execution_count": 1})
            self.execution.finish("error", 1, variables="kept", reason=None)
            self.assertEqual([data["name"] for kind, data in self.events() if kind == "error"], [] if stopping else ["Interrupted"])
