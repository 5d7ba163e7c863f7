import ctypes
import multiprocessing
import os
import shutil
import tempfile
import time
import unittest

from kernelbox import limits
from kernelbox.errors import RequestError, from_os_error
from kernelbox.files import Files
from kernelbox.paths import Paths
from kernelbox.transfer import Transfer
from kernelbox.tree import Tree

from .hostile_paths import CANARY, names, plant, state

RENAME_EXCHANGE = 2


class Wire:
    def __init__(self):
        self.sent = []

    def control(self, frame):
        pass

    def bulk(self, frames, *, hold=False):
        self.sent += frames


class Box:
    """One hostile folder beside a canary, and the file services over it in one of the two ways."""

    def __init__(self, use_openat2):
        self.folder = tempfile.mkdtemp()
        self.root = os.path.join(self.folder, "root")
        self.canary = os.path.join(self.folder, "canary")
        os.mkdir(self.root)
        plant(self.root, self.canary)
        self.paths = Paths({"/home/user": self.root}, use_openat2=use_openat2)
        self.files = Files(self.paths)
        self.tree = Tree(self.paths)

    def close(self):
        self.paths.close()
        for path, folders, _ in os.walk(self.folder):
            for name in folders:
                if not os.path.islink(os.path.join(path, name)):
                    os.chmod(os.path.join(path, name), 0o700)
        shutil.rmtree(self.folder)

    async def do(self, operation, name):
        """What came of it: a code, or a sign of what was reached."""
        try:
            return await getattr(self, operation)(name)
        except RequestError as error:
            return error.code
        except OSError as error:
            return from_os_error(error).code

    async def stat(self, name):
        return self.files.stat({"path": name})["type"]

    async def read(self, name):
        wire = Wire()
        # Not all of a terabyte.
        await self.files.read({"path": name, "limit": 64 * limits.KIB}, Transfer(1, wire))
        return b"".join(wire.sent)

    async def write(self, name):
        transfer = Transfer(1, Wire())
        transfer.data(b"planted")
        transfer.end()
        return (await self.files.write({"path": name, "create_parents": True}, transfer))["created"]

    async def list(self, name):
        return [entry["path"] for entry in self.files.list({"path": name, "depth": 3, "limit": 500})["entries"]]

    async def make(self, name):
        return self.tree.make({"path": name})["type"]

    async def move_from(self, name):
        return (await self.tree.move({"source": name, "destination": "moved", "copy": True}))["type"]

    async def move_to(self, name):
        return (await self.tree.move({"source": "a/b/file", "destination": name, "copy": True}))["type"]

    async def remove(self, name):
        return (await self.tree.remove({"path": name, "recursive": True}))["removed"]


READING = ("stat", "read", "list")
CHANGING = ("write", "make", "move_from", "move_to", "remove")


class HostilePaths(unittest.IsolatedAsyncioTestCase):
    def setUp(self):
        self.boxes = [Box(True), Box(False)]

    def tearDown(self):
        for box in self.boxes:
            box.close()

    def all_names(self):
        first = names(self.boxes[0].root, self.boxes[0].canary)
        second = names(self.boxes[1].root, self.boxes[1].canary)
        return list(zip(first, second, strict=True))

    async def try_all(self, operation):
        before = [state(box.canary) for box in self.boxes]
        for pair in self.all_names():
            outcomes = [await box.do(operation, name) for box, name in zip(self.boxes, pair, strict=True)]
            with self.subTest(operation=operation, name=pair[0][:80]):
                self.assertEqual(outcomes[0], outcomes[1], "the two ways differ")
                self.assertNotEqual(outcomes[0], "internal")
                self.assertNotIn(CANARY, outcomes[0] if isinstance(outcomes[0], bytes) else b"")
                for box, canary in zip(self.boxes, before, strict=True):
                    self.assertEqual(state(box.canary), canary, "something outside was changed")
            for box in self.boxes:
                # A copy that came about makes room for the next.
                await box.do("remove", "moved")

    async def test_there_are_many(self):
        self.assertGreaterEqual(len(self.all_names()), 200)

    async def test_nothing_outside_is_read(self):
        for operation in READING:
            await self.try_all(operation)

    async def test_nothing_outside_is_changed(self):
        for operation in CHANGING:
            await self.try_all(operation)
            for box in self.boxes:
                box.close()
            self.boxes = [Box(True), Box(False)]


def swap(folder, stop, swaps):
    """Exchanges a folder and a link to the canary for as long as it may."""
    libc = ctypes.CDLL(None, use_errno=True)
    here = os.open(folder, os.O_PATH)
    while not stop.is_set():
        for _ in range(50):
            if libc.renameat2(here, b"door", here, b"trap", RENAME_EXCHANGE) != 0:
                raise OSError(ctypes.get_errno(), "renameat2")
        swaps.value += 50


class SwappedFolder(unittest.IsolatedAsyncioTestCase):
    use_openat2 = True
    rounds = 400

    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.root = os.path.join(self.folder, "root")
        self.canary = os.path.join(self.folder, "canary")
        for path in (self.root, self.canary, os.path.join(self.root, "door")):
            os.mkdir(path)
        with open(os.path.join(self.canary, "file"), "wb") as file:
            file.write(CANARY)
        with open(os.path.join(self.root, "door/file"), "wb") as file:
            file.write(b"inside")
        os.symlink(self.canary, os.path.join(self.root, "trap"))
        self.paths = Paths({"/home/user": self.root}, use_openat2=self.use_openat2)
        self.files, self.tree = Files(self.paths), Tree(self.paths)
        context = multiprocessing.get_context("fork")
        self.stop, self.swaps = context.Event(), context.Value("q", 0)
        self.swapper = context.Process(target=swap, args=(self.root, self.stop, self.swaps))
        self.swapper.start()

    def tearDown(self):
        self.stop.set()
        self.swapper.join(10)
        self.paths.close()
        shutil.rmtree(self.folder)

    async def once(self, operation):
        if operation == "stat":
            return self.files.stat({"path": "door/file"})["size_bytes"]
        if operation == "read":
            wire = Wire()
            await self.files.read({"path": "door/file"}, Transfer(1, wire))
            self.assertNotIn(CANARY, b"".join(wire.sent))
            return True
        if operation == "list":
            return self.files.list({"path": "door"})["entries"]
        if operation == "write":
            transfer = Transfer(1, Wire())
            transfer.data(b"inside")
            transfer.end()
            return await self.files.write({"path": "door/new/file", "create_parents": True}, transfer)
        if operation == "make":
            return self.tree.make({"path": "door/made/deep"})
        if operation == "move":
            return await self.tree.move({"source": "door/file", "destination": "door/copy", "copy": True, "overwrite": True})
        return await self.tree.remove({"path": "door/copy", "recursive": True})

    async def test_leads_nowhere_while_it_is_swapped(self):
        before = state(self.canary)
        deadline = time.monotonic() + 30
        for operation in ("stat", "read", "list", "write", "make", "move", "remove"):
            seen = {"reached": 0, "refused": 0}
            tries = 0
            while tries < self.rounds or min(seen.values()) < 5:
                tries += 1
                self.assertLess(time.monotonic(), deadline, f"{operation}: only {seen} in {tries} tries, {self.swaps.value} swaps")
                try:
                    result = await self.once(operation)
                    self.assertNotEqual(result, len(CANARY))
                    seen["reached"] += 1
                except (OSError, RequestError) as error:
                    code = error.code if isinstance(error, RequestError) else from_os_error(error).code
                    # A link, what is in the link's place, or a look-up that was overtaken too often.
                    self.assertIn(code, ("permission_denied", "invalid_argument", "not_found", "busy", "already_exists"), operation)
                    # What has been removed is missed on both sides of the door.
                    seen["reached" if operation == "remove" and code == "not_found" else "refused"] += 1
            self.assertEqual(state(self.canary), before, operation)
        self.assertGreater(self.swaps.value, 1_000)


class SwappedFolderByWalk(SwappedFolder):
    use_openat2 = False


if __name__ == "__main__":
    unittest.main()
