"""Memory and processor time of processes, and where they work."""

import asyncio
import os
import subprocess
import sys
import unittest
from unittest import mock

from kernelbox import limits, usage
from kernelbox.process_usage import folder_of, processes_usage


class ProcessUsageTest(unittest.TestCase):
    def test_adds_up_what_its_processes_use(self):
        program = (
            "import time; held = b'x' * 50_000_000; until = time.process_time() + 0.1\n"
            "while time.process_time() < until: pass\nprint('there', flush=True); input()"
        )
        with subprocess.Popen([sys.executable, "-I", "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
            child.stdout.readline()
            both = asyncio.run(processes_usage([os.getpid(), child.pid]))
            one = asyncio.run(processes_usage([child.pid]))
            child.communicate(b"\n")
        self.assertGreater(one["memory_bytes"], 50_000_000)
        self.assertLess(one["memory_bytes"], 90_000_000)
        self.assertGreaterEqual(one["cpu_s"], 0.1)
        self.assertGreater(both["memory_bytes"], one["memory_bytes"])
        self.assertEqual(both["processes"], 2)

    def test_gives_others_their_turn_after_each_process(self):
        turns = 0

        async def count():
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        async def look():
            counting = asyncio.ensure_future(count())
            await processes_usage([os.getpid()] * 50)
            counting.cancel()

        asyncio.run(look())
        self.assertGreaterEqual(turns, 50)

    def test_past_its_time_tells_no_more_than_all_have(self):
        with mock.patch.multiple(limits, USAGE_S=-1.0), mock.patch.object(usage, "usage", lambda: {"memory_bytes": 12_345}):
            self.assertEqual(asyncio.run(processes_usage([os.getpid()] * 50))["memory_bytes"], 12_345)

    def test_counts_nothing_for_what_is_gone(self):
        self.assertEqual(asyncio.run(processes_usage([2**22 + 1])), {"memory_bytes": 0, "cpu_s": 0, "processes": 1})
        self.assertIsNone(folder_of(2**22 + 1))
        self.assertEqual(folder_of(os.getpid()), os.getcwd())
