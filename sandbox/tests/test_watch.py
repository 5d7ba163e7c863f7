import asyncio
import errno
import os
import shutil
import tempfile
import unittest
from unittest import mock

from kernelbox import folder_watch, limits
from kernelbox.inotify import Inotify
from kernelbox.paths import Paths
from kernelbox.watch import Watch


def without_inotify():
    return mock.patch.object(folder_watch, "Inotify", side_effect=OSError(errno.EMFILE, "no instance is left"))


class Listener:
    """Asks again and again, as the server does, and keeps what it was told."""

    def __init__(self, watch):
        self.watch = watch
        self.since = 0
        self.last = None

    async def ask(self, wait_s=0.0):
        self.last = await self.watch.changes({"since": self.since, "wait_s": wait_s})
        self.since = self.last["seq"]
        return {one["path"].rsplit("user/", 1)[-1]: one["change"] for one in self.last["changes"]}

    async def until(self, holds, within_s=5.0):
        seen = {}
        async with asyncio.timeout(within_s):
            while not holds(seen):
                seen |= await self.ask(0.5)
        return seen


class BothWays(unittest.IsolatedAsyncioTestCase):
    """What both ways have to tell."""

    via = "inotify"

    async def asyncSetUp(self):
        self.outside = tempfile.mkdtemp()
        self.folder = tempfile.mkdtemp()
        self.paths = Paths({"/home/user": self.folder})
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.addCleanup(shutil.rmtree, self.outside, ignore_errors=True)
        for name, value in {"WATCH_SCAN_S": 0.05, "WATCH_AGAIN_S": 0.05}.items():
            patch = mock.patch.object(limits, name, value)
            patch.start()
            self.addCleanup(patch.stop)
        if self.via == "scan":
            patch = without_inotify()
            patch.start()
            self.addCleanup(patch.stop)
        self.watch = Watch(asyncio.get_running_loop(), self.paths)
        self.listener = Listener(self.watch)

    async def asyncTearDown(self):
        self.watch.close()
        await asyncio.sleep(0.01)
        self.paths.close()

    def there(self, name):
        return os.path.join(self.folder, name)

    def put(self, name, text="x"):
        os.makedirs(os.path.dirname(self.there(name)), exist_ok=True)
        with open(self.there(name), "w") as file:
            file.write(text)

    async def test_tells_what_is_created_modified_and_removed(self):
        self.put("old")
        self.put("going")
        self.assertEqual(await self.listener.ask(), {})
        self.assertEqual((self.listener.last["is_complete"], self.listener.last["via"]), (False, self.via))
        self.put("new")
        self.put("old", "longer")
        os.unlink(self.there("going"))
        seen = await self.listener.until(lambda seen: len(seen) == 3)
        self.assertEqual(seen, {"new": "created", "old": "modified", "going": "removed"})
        self.assertTrue(self.listener.last["is_complete"])

    async def test_a_write_by_a_temporary_name_is_one_change(self):
        self.put("replaced")
        await self.listener.ask()
        for name in ("replaced", "made"):
            self.put(".kernelbox-1.part", "longer")
            os.rename(self.there(".kernelbox-1.part"), self.there(name))
        self.put(".kernelbox-2.part")
        os.link(self.there(".kernelbox-2.part"), self.there("linked"))
        os.unlink(self.there(".kernelbox-2.part"))
        self.put(".kernelbox-3.part")
        seen = await self.listener.until(lambda seen: len(seen) >= 3)
        self.assertEqual(seen, {"replaced": "modified", "made": "created", "linked": "created"})

    async def test_follows_into_new_moved_and_deep_folders(self):
        await self.listener.ask()
        deep = "/".join("d" * 60)
        self.put(f"{deep}/file")
        await self.listener.until(lambda seen: seen.get(f"{deep}/file") == "created")
        os.rename(self.there("d"), self.there("moved"))
        await self.listener.until(lambda seen: f"moved{deep[1:]}/file" in seen)
        self.put(f"moved{deep[1:]}/file", "longer")
        self.put(f"moved{deep[1:]}/second")
        seen = await self.listener.until(lambda seen: f"moved{deep[1:]}/second" in seen and f"moved{deep[1:]}/file" in seen)
        self.assertNotIn(f"{deep}/second", seen)

    async def test_what_moved_out_of_reach_is_removed_and_silent(self):
        self.put("folder/file")
        await self.listener.ask()
        os.rename(self.there("folder"), os.path.join(self.outside, "folder"))
        seen = await self.listener.until(lambda seen: seen != {})
        self.assertEqual(set(seen.values()), {"removed"})
        with open(os.path.join(self.outside, "folder/file"), "w") as file:
            file.write("longer")
        self.assertEqual(await self.listener.ask(0.3), {})

    async def test_follows_no_link_that_stands_for_a_folder_or_takes_its_place(self):
        os.mkdir(self.there("folder"))
        os.symlink(self.outside, self.there("link"))
        await self.listener.ask()
        os.rmdir(self.there("folder"))
        os.symlink(self.outside, self.there("folder"))
        await self.listener.ask(0.3)
        with open(os.path.join(self.outside, "secret"), "w") as file:
            file.write("x")
        self.put("end")
        seen = await self.listener.until(lambda seen: "end" in seen)
        self.assertEqual([name for name in seen if "secret" in name], [])

    async def test_a_folder_that_is_swapped_for_a_link_all_the_while_leads_nowhere(self):
        await self.listener.ask()
        with open(os.path.join(self.outside, "secret"), "w") as file:
            file.write("x")
        seen = {}
        for n in range(200):
            os.mkdir(self.there("a"))
            self.put(f"a/{n}")
            if n % 2 == 0:
                seen |= await self.listener.ask(0.001)
            os.rename(self.there("a"), self.there(f"b{n}"))
            os.symlink(self.outside, self.there("a"))
            if n % 2 == 1:
                seen |= await self.listener.ask(0.001)
            with open(os.path.join(self.outside, f"secret{n}"), "w") as file:
                file.write("x")
            os.unlink(self.there("a"))
        self.put("b199/end")
        seen |= await self.listener.until(lambda seen: "b199/end" in seen or not self.listener.last["is_complete"])
        self.assertEqual([name for name in seen if "secret" in name], [])

    async def test_asked_twice_it_tells_the_same_twice(self):
        await self.listener.ask()
        since = self.listener.since
        self.put("file")
        await self.listener.until(lambda seen: "file" in seen)
        self.listener.since = since
        self.assertEqual(await self.listener.ask(), {"file": "created"})

    async def test_what_has_arrived_as_created_is_modified_then(self):
        await self.listener.ask()
        self.put("file")
        self.assertEqual(await self.listener.until(lambda seen: seen != {}), {"file": "created"})
        asking = asyncio.create_task(self.listener.ask(5))
        await asyncio.sleep(0.1)
        self.put("file", "longer")
        self.assertEqual(await asking, {"file": "modified"})

    async def test_many_changes_of_one_file_are_one(self):
        await self.listener.ask()
        for n in range(500):
            self.put("file", "x" * n)
        self.assertEqual(await self.listener.until(lambda seen: seen != {}), {"file": "created"})

    async def test_past_its_bound_it_says_so_and_goes_on(self):
        await self.listener.ask()
        with mock.patch.object(limits, "WATCH_CHANGES", 10):
            for n in range(50):
                self.put(str(n))
            complete = []
            while len(complete) == 0 or complete[-1]:
                await self.listener.ask(0.5)
                complete.append(self.listener.last["is_complete"])
        await asyncio.sleep(0.2)
        await self.listener.ask()
        self.put("last")
        await self.listener.until(lambda seen: seen == {"last": "created"})
        self.assertTrue(self.listener.last["is_complete"])

    async def test_a_wait_ends_with_the_first_change_or_in_time(self):
        await self.listener.ask()
        loop = asyncio.get_running_loop()
        begun = loop.time()
        self.assertEqual(await self.listener.ask(0.2), {})
        self.assertGreaterEqual(loop.time() - begun, 0.19)
        self.assertTrue(self.listener.last["is_complete"])
        loop.call_later(0.1, self.put, "file")
        begun = loop.time()
        self.assertEqual(await self.listener.ask(10), {"file": "created"})
        self.assertLess(loop.time() - begun, 1)

    async def test_names_of_all_kinds(self):
        await self.listener.ask()
        names = ["a b", "ü", "图", "100%", "line\nbreak", "-rf", "\u202e", "x" * 255]
        for name in names:
            self.put(name)
        with open(os.fsencode(self.folder) + b"/\xff", "w"):
            pass
        seen = await self.listener.until(lambda seen: len(seen) == len(names) + 1)
        self.assertEqual(set(seen), {*names, "\ufffd"})

    async def test_ends_when_nobody_asks_and_tells_so_to_who_comes_back(self):
        with mock.patch.object(limits, "WATCH_IDLE_S", 0.1):
            await self.listener.ask()
            await self.listener.ask()
            self.assertTrue(self.listener.last["is_complete"])
            await asyncio.sleep(0.3)
            self.assertEqual(instances(), 0)
            self.put("missed")
            await self.listener.ask()
            self.assertFalse(self.listener.last["is_complete"])
            self.put("file")
            self.assertEqual(await self.listener.until(lambda seen: seen != {}), {"file": "created"})

    async def test_a_great_tree_holds_up_nobody(self):
        for n in range(4):
            os.makedirs(self.there(f"{n}"))
            for m in range(500):
                open(self.there(f"{n}/{m}"), "w").close()
        loop = asyncio.get_running_loop()
        longest, last, turns = 0.0, loop.time(), 0
        asked = asyncio.create_task(self.listener.ask())
        while not asked.done():
            await asyncio.sleep(0)
            longest, last, turns = max(longest, loop.time() - last), loop.time(), turns + 1
        self.assertLess(longest, 0.2)
        self.assertGreaterEqual(turns, 2_000 // limits.WATCH_STEP_ENTRIES)


class ScanTest(BothWays):
    via = "scan"

    async def test_says_when_there_is_more_than_it_looks_at(self):
        await self.listener.ask()
        with mock.patch.object(limits, "WATCH_SCAN_ENTRIES", 5):
            for n in range(10):
                self.put(str(n))
            await self.listener.until(lambda _: not self.listener.last["is_complete"])
            await self.listener.ask(0.2)
            self.assertFalse(self.listener.last["is_complete"])

    async def test_takes_inotify_when_it_is_to_be_had_again(self):
        with mock.patch.object(limits, "WATCH_RETRY_S", 0.1):
            await self.listener.ask()
            mock.patch.stopall()
            await self.listener.until(lambda _: self.listener.last["via"] == "inotify")
        self.put("file")
        await self.listener.until(lambda seen: seen.get("file") == "created")


class InotifyTest(BothWays):
    async def test_a_folder_too_many_is_said_as_long_as_it_lasts(self):
        with mock.patch.object(limits, "WATCH_FOLDERS", 3):
            for name in "abcd":
                os.mkdir(self.there(name))
            await self.listener.ask()
            await self.listener.ask(0.1)
            self.assertFalse(self.listener.last["is_complete"])

    async def test_begins_anew_where_the_system_dropped_events(self):
        await self.listener.ask()
        with open("/proc/sys/fs/inotify/max_queued_events") as file:
            most = int(file.read())
        # Two events for each, and nobody reads them meanwhile.
        for n in range(most // 2 + 100):
            os.mkdir(self.there(str(n)))
            os.rmdir(self.there(str(n)))
        self.put("folder/file")
        await self.listener.until(lambda _: self.listener.last["seq"] > 1 and not self.listener.last["is_complete"])
        await self.listener.until(lambda _: self.listener.last["is_complete"])
        self.put("folder/file", "longer")
        await self.listener.until(lambda seen: "folder/file" in seen)
        self.assertEqual(instances(), 1)

    async def test_a_flood_of_events_leaves_time_for_others(self):
        await self.listener.ask()
        loop = asyncio.get_running_loop()
        files = [open(self.there(name), "w") for name in "ab"]
        # By turns, so that the system does not make one event of them.
        for _ in range(4_000):
            for file in files:
                os.write(file.fileno(), b"x")
        longest, last, end = 0.0, loop.time(), loop.time() + 0.5
        while loop.time() < end:
            await asyncio.sleep(0)
            longest, last = max(longest, loop.time() - last), loop.time()
        for file in files:
            file.close()
        self.assertLess(longest, 0.2)
        self.assertEqual(set(await self.listener.until(lambda seen: len(seen) == 2)), {"a", "b"})

    async def test_what_belongs_together_comes_together(self):
        await self.listener.ask()
        asyncio.get_running_loop().call_later(0.01, self.put, "file", "longer")
        self.put("file")
        self.assertEqual(await self.listener.ask(5), {"file": "created"})
        self.assertEqual(await self.listener.ask(0.1), {})

    async def test_lets_go_of_what_moved_out_of_reach(self):
        self.put("folder/below/file")
        await self.listener.ask()
        self.assertEqual(watches(), 3)
        os.rename(self.there("folder"), os.path.join(self.outside, "folder"))
        await self.listener.until(lambda seen: seen != {})
        self.assertEqual(watches(), 1)

    async def test_takes_one_instance_and_closes_it(self):
        await self.listener.ask()
        self.assertEqual(instances(), 1)
        self.watch.close()
        await asyncio.sleep(0.01)
        self.assertEqual(instances(), 0)

    async def test_a_folder_whose_mode_keeps_us_out_is_left_out(self):
        self.put("closed/file")
        os.chmod(self.there("closed"), 0)
        try:
            await self.listener.ask()
            self.put("file")
            self.assertEqual(await self.listener.until(lambda seen: seen != {}), {"file": "created"})
        finally:
            os.chmod(self.there("closed"), 0o755)


# Only the two ways are tests.
del BothWays


def instances():
    """Open inotify instances of this process."""
    return len(list(open_instances()))


def watches():
    """How many folders they watch."""
    found = 0
    for fd in open_instances():
        with open(f"/proc/self/fdinfo/{fd}") as file:
            found += file.read().count("inotify wd:")
    return found


def open_instances():
    for fd in os.listdir("/proc/self/fd"):
        try:
            if "inotify" in os.readlink(f"/proc/self/fd/{fd}"):
                yield fd
        except OSError:
            continue


class InstanceTest(unittest.TestCase):
    def test_is_found_by_what_counts_them(self):
        instance = Inotify()
        self.assertEqual(instances(), 1)
        instance.close()


if __name__ == "__main__":
    unittest.main()
