import errno
import json
import os
import shutil
import tempfile
import threading
import unittest

from kernelbox.errors import RequestError
from kernelbox.paths import Paths

HOSTILE = [
    "/",
    "/etc/passwd",
    "..",
    "../..",
    "../../etc/passwd",
    "/home/user/../../etc/passwd",
    "/home/user2/x",
    "/tmpfoo",
    "/proc/self/environ",
    "/mnt/data/../../etc",
    "//etc/passwd",
    "a/../../../etc/passwd",
]


class ByOpenat2(unittest.TestCase):
    use_openat2 = True

    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.outside = tempfile.mkdtemp()
        with open(os.path.join(self.outside, "secret"), "w") as file:
            file.write("secret")
        self.paths = Paths({"/home/user": self.folder}, use_openat2=self.use_openat2)
        os.makedirs(os.path.join(self.folder, "a/b"))
        with open(os.path.join(self.folder, "a/b/file"), "w") as file:
            file.write("inside")

    def tearDown(self):
        self.paths.close()
        shutil.rmtree(self.folder)
        shutil.rmtree(self.outside)

    def open(self, path):
        fd = self.paths.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            return os.read(fd, 100)
        finally:
            os.close(fd)

    def test_opens_what_is_beneath(self):
        for path in ("a/b/file", "/home/user/a/b/file", "a/./b//file", "a/b/../b/file", "/mnt/data/a/b/file"):
            self.assertEqual(self.open(path), b"inside")

    def test_refuses_what_is_outside(self):
        for path in HOSTILE:
            with self.subTest(path=path), self.assertRaises(RequestError) as caught:
                self.open(path)
            self.assertEqual(caught.exception.code, "permission_denied")

    def test_follows_no_link_in_any_place(self):
        os.symlink(self.outside, os.path.join(self.folder, "out"))
        os.symlink(os.path.join(self.outside, "secret"), os.path.join(self.folder, "link"))
        os.symlink("a", os.path.join(self.folder, "in"))
        os.symlink("/proc/self/root", os.path.join(self.folder, "magic"))
        for path in ("out/secret", "link", "in/b/file", "magic/etc/passwd"):
            with self.subTest(path=path), self.assertRaises(OSError) as caught:
                self.open(path)
            self.assertIn(caught.exception.errno, (errno.ELOOP, errno.ENOTDIR))

    def test_names_that_cannot_be(self):
        for path in ("a\0b", "x" * 5_000):
            with self.assertRaises(RequestError):
                self.open(path)
        with self.assertRaises(OSError):
            self.open("n" * 300)

    def test_makes_folders_only_beneath(self):
        self.paths.make_directories("/home/user/x/y/z")
        self.assertTrue(os.path.isdir(os.path.join(self.folder, "x/y/z")))
        os.symlink(self.outside, os.path.join(self.folder, "out"))
        with self.assertRaises(OSError):
            self.paths.make_directories("/home/user/out/new")
        self.assertEqual(os.listdir(self.outside), ["secret"])

    def test_a_folder_that_is_swapped_for_a_link_all_the_while_never_leads_out(self):
        target = os.path.join(self.folder, "a/b")
        link = os.path.join(self.folder, "a/link")
        os.symlink(self.outside, link)
        with open(os.path.join(self.folder, "a/b/secret"), "w") as file:
            file.write("inside")
        stop = threading.Event()

        def swap():
            spare = os.path.join(self.folder, "a/spare")
            while not stop.is_set():
                os.rename(target, spare)
                os.rename(link, target)
                os.rename(target, link)
                os.rename(spare, target)

        thread = threading.Thread(target=swap)
        thread.start()
        seen = set()
        try:
            for _ in range(5_000):
                try:
                    seen.add(self.open("a/b/secret"))
                except OSError:
                    pass
        finally:
            stop.set()
            thread.join()
        self.assertEqual(seen, {b"inside"})


class ByWalking(ByOpenat2):
    use_openat2 = False


class Names(unittest.TestCase):
    def test_mean_here_what_they_mean_to_the_server(self):
        """The server's test of its own absolutePath reads the same table."""
        folder = tempfile.mkdtemp()
        paths = Paths(dict.fromkeys(("/home/user", "/tmp", "/mnt/shared"), folder))
        with open(os.path.join(os.path.dirname(__file__), "paths.json"), encoding="utf-8") as file:
            table = json.load(file)
        for name, expected in table:
            with self.subTest(name=name):
                try:
                    paths.is_root(name)
                    meant = paths.normal(name)
                except RequestError as error:
                    meant = error.code
                self.assertEqual(meant, expected)
        paths.close()
        os.rmdir(folder)
