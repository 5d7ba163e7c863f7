import asyncio
import errno
import os
import shutil
import socket
import tempfile
import unittest
from unittest import mock

from kernelbox import limits
from kernelbox.errors import RequestError, from_os_error
from kernelbox.paths import Paths
from kernelbox.tree import Tree


def snapshot(folder):
    """Names, links and contents of all that lies in it."""
    found = {}
    for path, folders, files in os.walk(folder):
        for name in folders + files:
            full = os.path.join(path, name)
            if os.path.islink(full):
                found[os.path.relpath(full, folder)] = ("link", os.readlink(full))
            elif os.path.isdir(full):
                found[os.path.relpath(full, folder)] = ("folder", None)
            elif os.path.isfile(full):
                with open(full, "rb") as file:
                    found[os.path.relpath(full, folder)] = ("file", file.read())
    return found


class TreeTest(unittest.IsolatedAsyncioTestCase):
    use_openat2: bool | None = None

    def setUp(self):
        self.home = tempfile.mkdtemp()
        # Another file system, as a sandbox's /tmp is.
        self.shm = tempfile.mkdtemp(dir="/dev/shm")
        self.paths = Paths({"/home/user": self.home, "/tmp": self.shm}, use_openat2=self.use_openat2)
        self.tree = Tree(self.paths)

    def tearDown(self):
        self.paths.close()
        for folder in (self.home, self.shm):
            shutil.rmtree(folder)

    def put(self, name, content="text"):
        path = os.path.join(self.home, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(content)
        return path

    async def move(self, source, destination, **params):
        return await self.tree.move({"source": source, "destination": destination, **params})

    async def refused(self, code, call):
        with self.assertRaises((RequestError, OSError)) as raised:
            result = call()
            if asyncio.iscoroutine(result):
                await result
        error = raised.exception
        self.assertEqual((from_os_error(error) if isinstance(error, OSError) else error).code, code)

    async def test_makes_folders_and_is_fine_where_they_are(self):
        for _ in range(2):
            told = self.tree.make({"path": "a/b", "mode": "750"})
            self.assertEqual((told["path"], told["type"], told["mode"]), ("/home/user/a/b", "directory", "750"))
        self.assertEqual(self.tree.make({"path": "/home/user"})["type"], "directory")
        self.put("file")
        await self.refused("already_exists", lambda: self.tree.make({"path": "file"}))
        await self.refused("invalid_argument", lambda: self.tree.make({"path": "file/below"}))
        await self.refused("not_found", lambda: self.tree.make({"path": "x/y", "parents": False}))

    async def test_moves_within_and_between_file_systems(self):
        for destination in ("to/file", "/tmp/to/file"):
            self.put("from/file", "content")
            os.chmod(os.path.join(self.home, "from/file"), 0o640)
            told = await self.move("from/file", destination)
            self.assertEqual((told["path"][-8:], told["size_bytes"], told["mode"]), ("/to/file", 7, "640"))
        self.assertEqual(snapshot(self.home), {"from": ("folder", None), "to": ("folder", None), "to/file": ("file", b"content")})
        self.assertEqual(snapshot(self.shm)["to/file"], ("file", b"content"))

    async def test_replaces_only_when_told_to(self):
        for root in ("", "/tmp/"):
            for copy in (False, True):
                self.put("new", "new")
                await self.move("new", f"{root}old", copy=True, overwrite=True)
                self.put("new", "newer")
                await self.refused("already_exists", lambda root=root, copy=copy: self.move("new", f"{root}old", copy=copy))
                self.assertEqual(snapshot(self.home)["new"], ("file", b"newer"))
                told = await self.move("new", f"{root}old", overwrite=True, copy=copy)
                self.assertEqual(told["size_bytes"], 5)
                self.assertEqual("new" in snapshot(self.home), copy)

    async def test_replaces_no_folder_that_something_is_in(self):
        self.put("a/x")
        self.put("b/y")
        for copy in (False, True):
            await self.refused("already_exists", lambda copy=copy: self.move("a", "b", overwrite=True, copy=copy))
        self.put("file")
        await self.refused("invalid_argument", lambda: self.move("file", "b", overwrite=True))
        self.assertEqual(sorted(snapshot(self.home)), ["a", "a/x", "b", "b/y", "file"])

    async def test_copies_a_tree_with_its_links_modes_times_and_holes(self):
        self.put("from/deep/er/file", "x" * 100_000)
        os.chmod(os.path.join(self.home, "from/deep"), 0o700)
        os.utime(os.path.join(self.home, "from/deep/er/file"), (1, 2))
        os.symlink("/etc", os.path.join(self.home, "from/link"))
        with open(os.path.join(self.home, "from/sparse"), "wb") as file:
            file.truncate(50 * limits.MIB)
            file.seek(limits.MIB)
            file.write(b"data")
        expected = snapshot(os.path.join(self.home, "from"))
        for destination, place in (("copy", self.home), ("/tmp/copy", self.shm)):
            await self.move("from", destination, copy=True)
            copy = os.path.join(place, "copy")
            self.assertEqual(snapshot(copy), expected)
            self.assertEqual(os.stat(os.path.join(copy, "deep")).st_mode & 0o777, 0o700)
            self.assertEqual(os.stat(os.path.join(copy, "deep/er/file")).st_mtime, 2)
            self.assertLess(os.stat(os.path.join(copy, "sparse")).st_blocks * 512, 2 * limits.MIB)
        await self.move("from", "/tmp/moved")
        self.assertEqual(snapshot(os.path.join(self.shm, "moved")), expected)
        self.assertFalse(os.path.exists(os.path.join(self.home, "from")))

    async def test_leaves_nothing_of_a_copy_that_fails(self):
        self.put("from/a")
        self.put("from/b")
        real = os.sendfile
        calls = 0

        def full(*args):
            nonlocal calls
            calls += 1
            if calls == 2:
                raise OSError(errno.ENOSPC, "full")
            return real(*args)

        before = snapshot(self.home)
        with mock.patch("os.sendfile", full):
            await self.refused("limit_exceeded", lambda: self.move("from", "/tmp/to"))
        self.assertEqual((snapshot(self.home), snapshot(self.shm)), (before, {}))
        os.mkfifo(os.path.join(self.home, "from/fifo"))
        await self.refused("invalid_argument", lambda: self.move("from", "to", copy=True))
        self.assertEqual(os.listdir(self.home), ["from"])
        self.assertEqual((await self.move("from/fifo", "pipe"))["type"], "other")

    async def test_leaves_nothing_of_a_copy_that_is_given_up(self):
        for n in range(500):
            self.put(f"from/{n}")
        task = asyncio.create_task(self.move("from", "to", copy=True))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await task
        self.assertEqual(os.listdir(self.home), ["from"])

    async def test_bounds_a_copy(self):
        for n in range(20):
            self.put(f"from/{n}")
        with mock.patch.object(limits, "TREE_ENTRIES", 10):
            await self.refused("too_large", lambda: self.move("from", "to", copy=True))
        self.put("deep/" + "d/" * 12 + "file")
        with mock.patch.object(limits, "TREE_DEPTH", 10):
            await self.refused("too_large", lambda: self.move("deep", "to", copy=True))
        self.assertEqual(sorted(os.listdir(self.home)), ["deep", "from"])

    async def test_moves_nothing_into_itself(self):
        self.put("a/b/c")
        for copy in (False, True):
            await self.refused("invalid_argument", lambda copy=copy: self.move("a", "a/b/d", copy=copy))
        self.assertEqual((await self.move("a", "a"))["path"], "/home/user/a")
        await self.refused("already_exists", lambda: self.move("a/b", "a", overwrite=True))
        await self.refused("not_found", lambda: self.move("none", "b"))
        await self.refused("permission_denied", lambda: self.move("a", "/etc/a"))
        await self.refused("invalid_argument", lambda: self.move("/home/user", "b"))

    async def test_removes_files_links_and_folders(self):
        self.put("file")
        outside = tempfile.mkdtemp()
        with open(os.path.join(outside, "kept"), "w"):
            os.symlink(outside, os.path.join(self.home, "link"))
        self.put("tree/x/y/z")
        os.symlink(outside, os.path.join(self.home, "tree/x/link"))
        socket.socket(socket.AF_UNIX).bind(os.path.join(self.home, "tree/s"))
        for path in ("file", "link"):
            self.assertEqual(await self.tree.remove({"path": path}), {"removed": True})
        await self.refused("invalid_argument", lambda: self.tree.remove({"path": "tree"}))
        await self.tree.remove({"path": "tree", "recursive": True})
        self.assertEqual(os.listdir(self.home), [])
        self.assertEqual(os.listdir(outside), ["kept"])
        shutil.rmtree(outside)
        os.mkdir(os.path.join(self.home, "empty"))
        await self.tree.remove({"path": "empty"})
        await self.refused("not_found", lambda: self.tree.remove({"path": "empty"}))
        for root in ("/home/user", "/tmp", "/home/user/."):
            await self.refused("invalid_argument", lambda root=root: self.tree.remove({"path": root, "recursive": True}))
        await self.refused("permission_denied", lambda: self.tree.remove({"path": "/etc", "recursive": True}))

    async def test_removes_what_is_deep_and_what_keeps_its_owner_out(self):
        deep = os.open(self.home, os.O_PATH)
        for _ in range(1_500):
            os.mkdir("d", dir_fd=deep)
            below = os.open("d", os.O_PATH, dir_fd=deep)
            os.close(deep)
            deep = below
        os.close(deep)
        self.put("closed/in/file")
        os.chmod(os.path.join(self.home, "closed/in"), 0)
        os.chmod(os.path.join(self.home, "closed"), 0o500)
        for name in ("d", "closed"):
            await self.tree.remove({"path": name, "recursive": True})
        self.assertEqual(os.listdir(self.home), [])

    async def test_gives_others_their_turn_and_ends_what_it_began(self):
        for n in range(2_000):
            self.put(f"many/{n}")
        turns = 0

        async def others():
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        counting = asyncio.create_task(others())
        removing = asyncio.create_task(self.tree.remove({"path": "many", "recursive": True}))
        while turns < 3:
            await asyncio.sleep(0)
        self.assertNotIn("many", os.listdir(self.home))
        removing.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await removing
        for _ in range(200):
            await asyncio.sleep(0)
        counting.cancel()
        self.assertGreater(turns, 2_000 // limits.TREE_TURN)
        self.assertEqual(os.listdir(self.home), [])

    async def test_does_not_go_on_for_ever_against_somebody_who_writes(self):
        self.put("busy/file")
        real = os.rmdir
        places = []

        def rmdir(name, *, dir_fd):
            fd = os.open(f"{name}/again", os.O_CREAT | os.O_WRONLY, dir_fd=dir_fd)
            os.close(fd)
            places.append(name)
            real(name, dir_fd=dir_fd)

        with mock.patch("os.rmdir", rmdir), mock.patch.object(limits, "TREE_ENTRIES", 5):
            await self.refused("busy", lambda: self.tree.remove({"path": "busy", "recursive": True}))
        self.assertGreater(len(places), 5)


class TreeByWalk(TreeTest):
    use_openat2 = False
