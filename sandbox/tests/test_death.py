"""Which kernel an out-of-memory kill is told of."""

import unittest

from kernelbox import limits
from kernelbox.death import MemoryKills, stopped


class MemoryKillsTest(unittest.TestCase):
    def setUp(self):
        self.count = 0
        self.now = 100.0
        self.kills = MemoryKills(lambda: self.count, lambda: self.now)

    def test_gives_one_kill_to_one_kernel(self):
        self.assertFalse(self.kills.take())
        self.count = 1
        self.assertTrue(self.kills.take())
        self.assertFalse(self.kills.take())
        self.count = 3
        self.assertTrue(self.kills.take())
        self.assertTrue(self.kills.take())
        self.assertFalse(self.kills.take())

    def test_writes_off_what_no_kernel_took_in_time(self):
        # A subprocess, say; code goes on running meanwhile.
        self.count = 1
        for _ in range(3):
            self.now += limits.MEMORY_KILL_S
            self.kills.look()
        self.assertFalse(self.kills.take())
        self.count = 2
        self.assertTrue(self.kills.take())

    def test_waits_for_an_end_that_is_noticed_late_though_others_begin_meanwhile(self):
        self.now += limits.MEMORY_KILL_S
        self.kills.look()
        self.count = 1
        for _ in range(5):
            self.now += limits.MEMORY_KILL_S / 6
            self.kills.look()
        self.assertTrue(self.kills.take())


class StoppedTest(unittest.TestCase):
    def test_tells_who_had_it_stopped(self):
        self.assertIsNone(stopped(None))
        self.assertEqual(stopped("timeout"), {"reason": "timeout_kill"})
        self.assertEqual(stopped("cancelled"), {"reason": "killed", "by": "cancel"})
