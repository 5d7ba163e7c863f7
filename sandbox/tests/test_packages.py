"""Installed packages, read from folders that may be hostile."""

import os
import tempfile
import unittest
from unittest import mock

from kernelbox import limits
from kernelbox.packages import installed
from kernelbox.paths import Paths


class PackagesTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.image, self.home = f"{folder.name}/image", f"{folder.name}/home"
        self.user = "/home/user/packages"
        for path in (self.image, f"{self.home}/packages"):
            os.makedirs(path)
        self.paths = Paths({"/home/user": self.home})
        self.addCleanup(self.paths.close)

    def make(self, *names, of=None):
        for name in names:
            os.mkdir(os.path.join(of or self.image, name))

    def names(self):
        return [(package["name"], package["version"]) for package in installed(self.paths, self.image, self.user)[0]]

    def test_lists_both_folders_by_name_and_the_users_version_wins(self):
        self.make("python_dateutil-2.9.0.post0.dist-info", "NumPy-2.0.0.dist-info", "numpy", "six.py")
        self.make("numpy-2.5.1.dist-info", "a.b_c-1!2.dist-info", of=f"{self.home}/packages")
        self.assertEqual(self.names(), [("a-b-c", "1!2"), ("numpy", "2.5.1"), ("python-dateutil", "2.9.0.post0")])

    def test_takes_nothing_that_is_no_name_and_follows_no_link(self):
        packages = f"{self.home}/packages"
        bad = ("x-1\n.dist-info", "x\x1b[31m-1.dist-info", "x" * 120 + "-1.dist-info", "-1.dist-info", "x-.dist-info", "é-1.dist-info")
        self.make(*bad, of=packages)
        os.symlink("/etc", f"{packages}/linked-1.0.dist-info")
        open(f"{packages}/file-1.0.dist-info", "w").close()
        self.assertEqual(self.names(), [])
        self.make("real-1.0.dist-info", of=self.image)
        os.rename(packages, f"{self.home}/elsewhere")
        os.symlink(self.image, packages)
        self.user = "/home/user/packages"
        self.assertEqual(self.names(), [("real", "1.0")])
        self.assertEqual(installed(self.paths, f"{self.home}/none", self.user), ([], 0))

    def test_is_bounded(self):
        self.make(*(f"p{n}-1.dist-info" for n in range(10)))
        with mock.patch.object(limits, "PACKAGES", 3):
            packages, left_out = installed(self.paths, self.image, self.user)
        self.assertEqual((len(packages), left_out), (3, 7))
        with mock.patch.object(limits, "PACKAGE_ENTRIES", 4):
            self.assertEqual(len(self.names()), 4)

    def test_says_what_the_image_has(self):
        found = dict((package["name"], package["version"]) for package in installed(Paths())[0])
        self.assertIn("ipykernel", found)
        self.assertIn("pyzmq", found)
