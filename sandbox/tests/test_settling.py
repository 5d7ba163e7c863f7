import asyncio
import unittest
from unittest import mock

from kernelbox import limits
from kernelbox.kernel_client import Message
from kernelbox.settling import BARRIER, Settling


class SettlingTest(unittest.TestCase):
    def setUp(self):
        self.loop = asyncio.new_event_loop()
        self.barriers = []
        self.settled = []
        self.is_held_back = False
        held_back = lambda: self.is_held_back  # noqa: E731
        self.settling = Settling(self.loop, raise_barrier=self.raise_barrier, is_held_back=held_back, on_settled=self.settled.append)
        self.settling.begin("m")
        patched = mock.patch.multiple(limits, SILENCE_S=0.4, SETTLE_S=1.5)
        patched.start()
        self.addCleanup(patched.stop)
        self.addCleanup(self.loop.close)

    def raise_barrier(self):
        self.barriers.append(f"b{len(self.barriers)}")
        return self.barriers[-1]

    def take(self, kind, parent="m", **content):
        return self.settling.take(Message(kind, parent, content, {}))

    def idle(self):
        return self.take("status", execution_state="idle")

    def turn(self, seconds):
        self.loop.run_until_complete(asyncio.sleep(seconds))

    def test_keeps_the_end_back_until_the_barrier_has_come(self):
        self.assertIsNotNone(self.take("status", execution_state="busy"))
        self.assertIsNone(self.idle())
        self.assertEqual((self.settled, self.barriers), ([], ["b0"]))
        self.assertIsNotNone(self.take("execute_result"))
        # Of what waited in the kernel while the barrier was already what ran there.
        self.assertEqual(self.take("display_data", "b0").parent_id, "m")
        self.assertIsNone(self.take("status", "b0", execution_state="busy"))
        self.assertEqual(self.settled, [])
        self.assertIsNone(self.take(BARRIER, "b0"))
        self.assertEqual([message.kind for message in self.settled], ["status"])
        self.turn(0.1)
        self.assertEqual(len(self.settled), 1)

    def test_a_barrier_of_anything_else_is_none(self):
        self.idle()
        self.assertIsNotNone(self.take(BARRIER, "other"))
        self.assertIsNotNone(self.take(BARRIER, "m"))
        self.assertEqual(self.settled, [])

    def test_silence_ends_it_where_no_barrier_comes_and_messages_put_that_off_for_a_while(self):
        self.idle()
        for _ in range(4):
            self.turn(0.15)
            self.take("display_data")
            self.assertEqual(self.settled, [])
        self.turn(0.6)
        self.assertEqual(len(self.settled), 1)

        self.settling.begin("m")
        self.idle()
        started = self.loop.time()
        while len(self.settled) < 2 and self.loop.time() - started < 5:
            self.take("display_data")
            self.turn(0.01)
        self.assertLess(self.loop.time() - started, 4)

    def test_is_not_ended_while_it_is_we_who_do_not_read(self):
        self.is_held_back = True
        self.idle()
        self.turn(0.8)
        self.assertEqual(self.settled, [])
        self.is_held_back = False
        self.turn(1)
        self.assertEqual(len(self.settled), 1)

    def test_the_next_execution_does_not_wait_for_it(self):
        self.idle()
        self.settling.begin("n")
        self.assertEqual(len(self.settled), 1)
        self.assertEqual(self.take("stream", "b0").parent_id, "b0")
