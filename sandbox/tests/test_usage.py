"""What the container may still take, from the files of either version of cgroups."""

import tempfile
import unittest
from pathlib import Path
from unittest import mock

from kernelbox import usage

MIB = 2**20


class FreeMemoryTest(unittest.TestCase):
    def free(self, version, **files):
        with tempfile.TemporaryDirectory() as name:
            folders = {"_V1": Path(name, "memory"), "_V2": Path(name)}
            if version == 1:
                folders["_V1"].mkdir()
            for file, text in files.items():
                (folders[f"_V{version}"] / file.replace("__", ".")).write_text(f"{text}\n")
            with mock.patch.multiple(usage, **folders):
                return usage.free_memory()

    def test_counts_copies_of_files_as_free_and_the_workspace_as_used(self):
        one = {"memory__limit_in_bytes": 512 * MIB, "memory__usage_in_bytes": 500 * MIB}
        stat = f"cache {450 * MIB}\nshmem {200 * MIB}\ninactive_file 0\ntotal_inactive_file {100 * MIB}\ntotal_active_file {150 * MIB}"
        self.assertEqual(self.free(1, **one, memory__stat=stat), 262 * MIB)
        two = {"memory__max": 512 * MIB, "memory__current": 500 * MIB}
        stat = f"anon {100 * MIB}\nshmem {200 * MIB}\ninactive_file {100 * MIB}\nactive_file {150 * MIB}"
        self.assertEqual(self.free(2, **two, memory__stat=stat), 262 * MIB)
        self.assertEqual(self.free(2, **two), 12 * MIB)

    def test_is_much_where_nobody_bounds_it(self):
        self.assertGreater(self.free(1, memory__limit_in_bytes=2**63 - 4096, memory__usage_in_bytes=MIB), 2**50)
        self.assertGreater(self.free(2, memory__max="max", memory__current=MIB), 2**50)
        self.assertEqual(self.free(2, memory__max=MIB, memory__current=2 * MIB), 0)
