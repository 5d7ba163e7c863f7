import os
import shutil
import tempfile
import unittest

from kernelbox import limits
from kernelbox.changed_files import changes, look


class ChangedFiles(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)

    def write(self, name, text="x"):
        path = os.path.join(self.folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(text)

    def test_tells_created_and_modified_apart_and_leaves_caches_out(self):
        self.write("old")
        self.write("same")
        before = look(self.folder)
        self.write("old", "longer")
        self.write("deep/new")
        for name in (".cache/x", "deep/__pycache__/x.pyc", "node_modules/y", ".kernelbox-1.part"):
            self.write(name)
        os.symlink("/etc", os.path.join(self.folder, "link"))
        os.mkfifo(os.path.join(self.folder, "fifo"))
        found = [(os.path.relpath(one["path"], self.folder), one["change"]) for one in changes(before, look(self.folder))[0]]
        self.assertEqual(found, [("deep/new", "created"), ("old", "modified")])

    def test_counts_what_is_past_its_bound(self):
        before = look(self.folder)
        for n in range(limits.CHANGED_FILES + 3):
            self.write(str(n))
        told, more = changes(before, look(self.folder))
        self.assertEqual((len(told), more), (limits.CHANGED_FILES, 3))

    def test_says_when_there_are_too_many(self):
        for n in range(limits.SCAN_ENTRIES + 1):
            open(os.path.join(self.folder, str(n)), "w").close()
        self.assertFalse(look(self.folder).is_complete)
        self.assertFalse(look("/does/not/exist").files)
