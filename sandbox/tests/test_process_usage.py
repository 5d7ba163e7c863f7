"""Memory and processor time of processes, and where they work."""

import os
import subprocess
import sys
import unittest

from kernelbox.process_usage import folder_of, processes_usage


class ProcessUsageTest(unittest.TestCase):
    def test_adds_up_what_its_processes_use(self):
        program = (
            "import time; held = b'x' * 50_000_000; until = time.process_time() + 0.1\n"
            "while time.process_time() < until: pass\nprint('there', flush=True); input()"
        )
        with subprocess.Popen([sys.executable, "-I", "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
            child.stdout.readline()
            both = processes_usage([os.getpid(), child.pid])
            one = processes_usage([child.pid])
            child.communicate(b"\n")
        self.assertGreater(one["memory_bytes"], 50_000_000)
        self.assertLess(one["memory_bytes"], 90_000_000)
        self.assertGreaterEqual(one["cpu_s"], 0.1)
        self.assertGreater(both["memory_bytes"], one["memory_bytes"])
        self.assertEqual(both["processes"], 2)

    def test_counts_nothing_for_what_is_gone(self):
        self.assertEqual(processes_usage([2**22 + 1]), {"memory_bytes": 0, "cpu_s": 0, "processes": 1})
        self.assertIsNone(folder_of(2**22 + 1))
        self.assertEqual(folder_of(os.getpid()), os.getcwd())
