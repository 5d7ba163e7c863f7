import asyncio
import fcntl
import json
import os
import shutil
import signal
import tempfile
import time
import unittest
from unittest import mock

from kernelbox import limits
from kernelbox.errors import RequestError
from kernelbox.files import Files
from kernelbox.paths import Paths
from kernelbox.transfer import Transfer


class Wire:
    """In place of the outbox: takes what would be sent."""

    def __init__(self):
        self.frames = []

    def control(self, frame):
        self.frames.append(frame)

    def bulk(self, frames, *, hold=False):
        self.frames += frames


class FilesTest(unittest.IsolatedAsyncioTestCase):
    def setUp(self):
        # What a broken lease sends to its holder would end this process.
        signal.signal(signal.SIGIO, signal.SIG_IGN)
        self.folder = tempfile.mkdtemp()
        self.paths = Paths({"/home/user": self.folder})
        self.files = Files(self.paths)

    def tearDown(self):
        self.paths.close()
        shutil.rmtree(self.folder)

    def there(self, name):
        return os.path.join(self.folder, name)

    async def write(self, path, *pieces, end=True, **params):
        transfer = Transfer(1, Wire())
        task = asyncio.create_task(self.files.write({"path": path, "create_parents": True, **params}, transfer))
        for piece in pieces:
            transfer.data(piece)
        if end:
            transfer.end()
            return await task
        await asyncio.sleep(0.01)
        return task

    async def test_writes_and_reads_back(self):
        content = os.urandom(700_000)
        written = await self.write("deep/er/file", content[:300_000], content[300_000:], mode="640")
        self.assertEqual(written, {"path": "/home/user/deep/er/file", "size_bytes": 700_000, "created": True})
        self.assertEqual(os.stat(self.there("deep/er/file")).st_mode & 0o777, 0o640)
        wire = Wire()
        read = await self.files.read({"path": "deep/er/file", "offset": 5, "limit": 600_000}, Transfer(1, wire))
        self.assertEqual(read["sent_bytes"], 600_000)
        self.assertEqual(b"".join(frame[10:] for frame in wire.frames), content[5:600_005])

    async def test_keeps_the_mode_of_a_file_that_it_replaces(self):
        with open(self.there("script"), "w"):
            os.chmod(self.there("script"), 0o755)
        await self.write("script", b"new")
        self.assertEqual(os.stat(self.there("script")).st_mode & 0o777, 0o755)

    async def test_an_abort_leaves_nothing_and_the_old_content(self):
        with open(self.there("file"), "w") as file:
            file.write("old")
        task = await self.write("file", b"half", end=False)
        task.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await task
        self.assertEqual(os.listdir(self.folder), ["file"])
        self.assertEqual(open(self.there("file")).read(), "old")

    async def test_an_aborted_append_is_taken_back(self):
        with open(self.there("log"), "w") as file:
            file.write("one\n")
        await self.write("log", b"two\n", append=True)
        task = await self.write("log", b"thr", append=True, end=False)
        task.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await task
        self.assertEqual(open(self.there("log")).read(), "one\ntwo\n")

    async def test_overwrites_only_when_it_may_also_when_the_file_comes_meanwhile(self):
        task = await self.write("new", b"mine", end=False, overwrite=False)
        self.assertTrue(isinstance(task, asyncio.Task))
        with open(self.there("new"), "w") as file:
            file.write("theirs")
        task.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await task
        with self.assertRaises(RequestError) as caught:
            await self.write("new", b"mine", overwrite=False)
        self.assertEqual(caught.exception.code, "already_exists")
        self.assertEqual(open(self.there("new")).read(), "theirs")

    async def test_special_files_are_neither_read_nor_written(self):
        os.mkfifo(self.there("fifo"))
        os.mkdir(self.there("folder"))
        os.symlink("/etc/passwd", self.there("link"))
        for name in ("fifo", "folder", "link"):
            with self.subTest(name=name):
                with self.assertRaises((OSError, RequestError)):
                    await asyncio.wait_for(self.files.read({"path": name}, Transfer(1, Wire())), 2)
                with self.assertRaises((OSError, RequestError)):
                    await asyncio.wait_for(self.write(name, b"x"), 2)

    async def test_reading_stops_at_its_credit_and_goes_on_with_more(self):
        with open(self.there("large"), "wb") as file:
            file.truncate(3 * limits.SEND_CREDIT_BYTES)
        wire = Wire()
        transfer = Transfer(1, wire)
        task = asyncio.create_task(self.files.read({"path": "large"}, transfer))
        await asyncio.sleep(0.05)
        self.assertEqual(sum(len(frame) - 10 for frame in wire.frames), limits.SEND_CREDIT_BYTES)
        transfer.credit(2 * limits.SEND_CREDIT_BYTES)
        self.assertEqual((await asyncio.wait_for(task, 5))["sent_bytes"], 3 * limits.SEND_CREDIT_BYTES)

    async def test_a_writer_that_sends_past_its_credit_is_not_kept(self):
        transfer = Transfer(1, Wire())
        for _ in range(limits.RECEIVE_CREDIT_BYTES // limits.FRAME_BYTES + 3):
            transfer.data(bytes(limits.FRAME_BYTES))
        self.assertLessEqual(sum(map(len, transfer._received)), limits.RECEIVE_CREDIT_BYTES)

    async def test_lists_in_order_by_pages_with_odd_names(self):
        names = [b"a", b"a-b", b"a/x", b"a/y", b"b\nc", b"c%41", b"\xe9", b"\xff\xfe", b"\xff\xff"]
        for name in names:
            full = os.path.join(os.fsencode(self.folder), name)
            if name == b"a":
                os.mkdir(full)
            else:
                open(full, "w").close()
        seen, after = [], None
        while True:
            page = self.files.list({"path": ".", "depth": 3, "limit": 1, **({"after": after} if after else {})})
            seen += [(entry["path"], entry["type"], entry.get("lossy", False)) for entry in page["entries"]]
            after = page.get("next")
            if after is None:
                break
            # As it comes back over the channel, which carries UTF-8 only.
            after = after.encode("utf-8", "replace").decode()
            self.assertLess(len(seen), 20)
        self.assertEqual([path for path, _, _ in seen[:6]], [f"/home/user/{name}" for name in ("a", "a/x", "a/y", "a-b", "b\nc", "c%41")])
        self.assertEqual([lossy for _, _, lossy in seen[6:]], [True] * 3)

    async def test_a_list_is_bounded_whatever_is_in_the_folder(self):
        os.makedirs(self.there("closed/in"))
        os.chmod(self.there("closed"), 0o600)
        for n in range(300):
            open(self.there("\1" * 200 + f"{n:03}"), "w").close()
        with mock.patch.object(limits, "LIST_BYTES", 100_000):
            page = self.files.list({"path": ".", "depth": 3, "limit": 5_000})
            self.assertLess(len(json.dumps(page)), 120_000)
            names, after = len(page["entries"]), page["next"]
            while after is not None:
                page = self.files.list({"path": ".", "depth": 3, "limit": 5_000, "after": after})
                names, after = names + len(page["entries"]), page.get("next")
        self.assertEqual(names, 301)
        os.chmod(self.there("closed"), 0o700)
        with mock.patch.object(limits, "FOLDER_ENTRIES", 100), self.assertRaises(RequestError) as caught:
            self.files.list({"path": "."})
        self.assertEqual(caught.exception.code, "too_large")

    async def test_a_folder_that_is_too_large_is_in_the_list_of_the_one_above_without_what_it_holds(self):
        os.mkdir(self.there("large"))
        for name in ("a", "large/1", "large/2", "large/3", "z"):
            open(self.there(name), "w").close()
        with mock.patch.object(limits, "FOLDER_ENTRIES", 3):
            self.assertEqual(len(self.files.list({"path": ".", "depth": 2})["entries"]), 6)
        with mock.patch.object(limits, "FOLDER_ENTRIES", 2):
            os.unlink(self.there("z"))
            page = self.files.list({"path": ".", "depth": 2})
        self.assertEqual([entry["name"] for entry in page["entries"]], ["a", "large"])
        self.assertNotIn("next", page)

    async def test_a_file_that_code_holds_a_lease_on_costs_a_refusal_not_the_supervisor(self):
        with open(self.there("leased"), "w") as file:
            try:
                fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
            except OSError as error:
                self.skipTest(f"this file system has no leases: {error}")
            begun = time.monotonic()
            with self.assertRaises(RequestError) as caught:
                await self.files.read({"path": "leased"}, Transfer(1, Wire()))
            self.assertEqual(caught.exception.code, "busy")
            self.assertLess(time.monotonic() - begun, 1)

    async def test_an_append_that_is_given_up_cuts_nothing_that_code_wrote_meanwhile(self):
        await self.write("log", b"one\n")
        task = await self.write("log", b"half", end=False, append=True)
        with open(self.there("log"), "a") as file:
            file.write("code\n")
        task.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await task
        with open(self.there("log")) as file:
            self.assertEqual(file.read(), "one\ncode\n")

    async def test_a_file_that_shrinks_while_it_is_read_ends_the_transfer(self):
        with open(self.there("f"), "wb") as file:
            file.truncate(2 * limits.SEND_CREDIT_BYTES)
        transfer = Transfer(1, Wire())
        task = asyncio.create_task(self.files.read({"path": "f"}, transfer))
        await asyncio.sleep(0.02)
        os.truncate(self.there("f"), 10)
        transfer.credit(2 * limits.SEND_CREDIT_BYTES)
        # One piece was read ahead of the credit.
        self.assertEqual((await asyncio.wait_for(task, 5))["sent_bytes"], limits.SEND_CREDIT_BYTES + limits.SEND_BYTES)
