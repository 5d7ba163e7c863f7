import asyncio
import os
import shutil
import signal
import socket
import tempfile
import time
import unittest
from unittest import mock

from kernelbox import landlock, limits, search
from kernelbox.errors import RequestError
from kernelbox.paths import Paths
from kernelbox.reaper import Reaper
from kernelbox.search import Search
from kernelbox.search_output import SearchOutput


def searching():
    """The processes that search, by what they are: their numbers may be used again."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                command = file.read().split(b"\0")
        except OSError:
            continue
        if command[0].endswith(b"/rg") or b"kernelbox.search_worker" in command:
            found.append(int(pid))
    return found


def opened(pid):
    found = []
    try:
        for fd in os.listdir(f"/proc/{pid}/fd"):
            found.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
    except OSError:
        pass
    return found


def is_stopped(pid):
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] == "T"


class SearchTest(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        self.folder = tempfile.mkdtemp()
        self.paths = Paths({"/home/user": self.folder})
        loop = asyncio.get_running_loop()
        self.search_files = Search(loop, Reaper(loop), self.paths)

    async def asyncTearDown(self):
        self.paths.close()
        shutil.rmtree(self.folder)
        for _ in range(200):
            if not searching():
                return
            await asyncio.sleep(0.01)
        self.fail(f"a search runs on: {searching()}")

    def put(self, name, content=b"x\n"):
        path = os.path.join(os.fsencode(self.folder), os.fsencode(name))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content)

    async def found(self, path="/home/user", limit=100, **params):
        return await self.search_files.search({"path": path, "limit": limit, **params})

    async def hits(self, path="/home/user", **params):
        """As "path below the folder:line:text", or the path where names were looked for."""
        result = await self.found(path, **params)
        self.assertIsNone(result["stopped"])
        names = [match["path"].removeprefix("/home/user/") for match in result["matches"]]
        return [f"{name}:{match['line']}:{match['text']}" if "line" in match else name for name, match in zip(names, result["matches"], strict=True)]

    async def refused(self, code, **params):
        with self.assertRaises(RequestError) as caught:
            await self.found(**params)
        self.assertEqual(caught.exception.code, code)
        return caught.exception

    async def test_tells_lines_with_their_numbers_in_the_order_of_paths(self):
        self.put("b.txt", b"one\nhello two\nhello three")
        self.put("a/z.txt", b"hello one\r\nno\r\nhello\r\n")
        self.assertEqual(await self.hits(pattern="hello"), ["a/z.txt:1:hello one", "a/z.txt:3:hello", "b.txt:2:hello two", "b.txt:3:hello three"])
        self.assertEqual(await self.hits("a", pattern="^hello$"), ["a/z.txt:3:hello"])
        self.assertEqual(await self.hits(pattern="HELLO"), [])
        self.assertEqual(await self.hits(pattern="(?i)HELLO O"), ["a/z.txt:1:hello one"])

    async def test_a_glob_chooses_files_and_alone_lists_them(self):
        for name in ("a.py", "a.txt", "src/b.py", "src/deep/c.py"):
            self.put(name, b"hello\n")
        self.assertEqual(await self.hits(glob="*.py"), ["a.py", "src/b.py", "src/deep/c.py"])
        self.assertEqual(await self.hits(glob="src/*.py"), ["src/b.py"])
        self.assertEqual(await self.hits(glob="!*.py"), ["a.txt"])
        self.assertEqual(await self.hits(glob="*.{txt,md}", pattern="l+"), ["a.txt:1:hello"])
        self.assertEqual(await self.hits("src", glob="deep/**"), ["src/deep/c.py"])

    async def test_a_file_is_searched_by_itself(self):
        self.put("a.txt", b"one\nhello\n")
        self.put("b.txt", b"hello\n")
        self.assertEqual(await self.hits("a.txt", pattern="hello"), ["a.txt:2:hello"])
        self.put(".hidden", b"hello\n")
        self.assertEqual(await self.hits(".hidden", pattern="hello"), [".hidden:1:hello"])
        await self.refused("invalid_argument", path="a.txt", glob="*")
        await self.refused("invalid_argument", path="a.txt", glob="*", pattern="hello")

    async def test_hidden_files_are_searched_only_where_they_are_named(self):
        for name in (".env", ".git/config", "src/.cache/x.py", "src/a.py"):
            self.put(name, b"hello\n")
        self.assertEqual(await self.hits(pattern="hello"), ["src/a.py:1:hello"])
        for glob in ("*", "**", "*.py", "**/*.py", "!*.txt"):
            self.assertEqual(await self.hits(glob=glob), ["src/a.py"], glob)
        self.assertEqual(await self.hits(glob=".env"), [".env"])
        self.assertEqual(await self.hits(glob=".git/**", pattern="hello"), [".git/config:1:hello"])
        self.assertEqual(await self.hits(glob="src/.*/*.py"), ["src/.cache/x.py"])
        self.assertEqual(await self.hits(".git", pattern="hello"), [".git/config:1:hello"])

    async def test_ignore_files_are_not_obeyed_and_no_settings_are_read(self):
        for name in (".gitignore", ".ignore", ".rgignore"):
            self.put(name, b"*\n")
        self.put("a.txt", b"hello\n")
        self.put("settings", b"--invert-match\n")
        with mock.patch.dict(os.environ, {"RIPGREP_CONFIG_PATH": f"{self.folder}/settings"}):
            self.assertEqual(await self.hits(pattern="hello"), ["a.txt:1:hello"])

    async def test_binary_files_are_skipped_from_where_they_are_binary(self):
        self.put("binary", b"\0hello\n")
        self.put("late", b"hello\n" + b"no\n" * 100_000 + b"\0\nhello\n")
        self.put("utf-16", "hello\n".encode("utf-16"))
        self.put("utf-8", b"hello\n")
        self.assertEqual(await self.hits(pattern="hello"), ["late:1:hello", "utf-16:1:hello", "utf-8:1:hello"])
        self.assertEqual(await self.hits("binary", pattern="hello"), [])
        self.assertEqual(await self.hits("late", pattern="hello"), ["late:1:hello"])

    async def test_links_are_not_followed(self):
        self.put("real/a.txt", b"hello root:\n")
        os.symlink("/etc", os.path.join(self.folder, "out"))
        os.symlink("/etc/passwd", os.path.join(self.folder, "passwd"))
        os.symlink("real", os.path.join(self.folder, "again"))
        self.assertEqual(await self.hits(pattern="root:"), ["real/a.txt:1:hello root:"])
        self.assertEqual(await self.hits(glob="*"), ["real/a.txt"])
        for path in ("out", "passwd", "again", "out/ssl"):
            with self.assertRaises((RequestError, OSError)):
                await self.found(path, pattern="root:")
        await self.refused("permission_denied", path="/etc", pattern="root:")

    @unittest.skipUnless(landlock.is_there(), "this system has no Landlock")
    async def test_a_folder_that_becomes_a_link_meanwhile_leads_nowhere(self):
        # What ripgrep does not follow itself, it would open by a name that has become one.
        self.put("real/a.txt", b"hello root:\n")
        for at, target in enumerate(("/etc", "/etc/passwd", "/proc/self", "/tmp", "real")):
            os.symlink(target, os.path.join(self.folder, f"link{at}"))
        options = [option for option in search._OPTIONS if option != "--no-follow"]
        with mock.patch.object(search, "_OPTIONS", (*options, "--follow")):
            result = await self.found(pattern="root:")
        names = [match["path"].removeprefix("/home/user/") for match in result["matches"]]
        self.assertEqual((names, result["stopped"]), (["link4/a.txt", "real/a.txt"], "unreadable"))

    async def test_special_files_hold_nothing_up(self):
        os.mkfifo(os.path.join(self.folder, "fifo"))
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(os.path.join(self.folder, "socket"))
            self.put("a.txt", b"hello\n")
            self.assertEqual(await self.hits(pattern="hello"), ["a.txt:1:hello"])
            self.assertEqual(await self.hits(glob="*"), ["a.txt"])
            await self.refused("invalid_argument", path="fifo", pattern="hello")
            with self.assertRaises(OSError):
                await self.found("socket", pattern="hello")

    async def test_hostile_names_and_lines_stay_whose_they_are(self):
        note = 'late: WARNING: stopped searching binary file after match (found "\\0" byte around offset 9)'
        self.put("late", b"hello\n" + b"no\n" * 100_000 + b"\0\n")
        self.put(f"{note}\n./q", b"hello\n")
        self.put(f"{note}\n\n./late", b"hello\n" + b"no\n" * 100_000 + b"\0\n")
        self.put("12:x\n13:y", b"14:hello\n")
        self.put("new\nline/\u202eevil", b"hello\n")
        self.put(b"\xff\xfe", b"hello \xe9\n")
        self.put("-e", b"hello\n")
        self.assertEqual(
            sorted(await self.hits(pattern="hello")),
            sorted(
                [
                    "-e:1:hello",
                    "12:x\n13:y:1:14:hello",
                    "late:1:hello",
                    f"{note}\n\n./late:1:hello",
                    f"{note}\n./q:1:hello",
                    "new\nline/\u202eevil:1:hello",
                    "\ufffd\ufffd:1:hello \ufffd",
                ]
            ),
        )

    async def test_patterns_and_globs_are_never_options(self):
        self.put("a.txt", b"--pre=touch\n--files\n-e\n")
        self.put("run", b"#!/bin/sh\ntouch $(dirname $0)/ran\n")
        os.chmod(os.path.join(self.folder, "run"), 0o755)
        self.assertEqual(await self.hits(pattern="--pre=touch"), ["a.txt:1:--pre=touch"])
        self.assertEqual(await self.hits(pattern="--files"), ["a.txt:2:--files"])
        self.assertEqual(await self.hits(pattern="-e"), ["a.txt:3:-e"])
        for glob in (f"--pre={self.folder}/run", "--hidden", "-uuu", "--"):
            self.assertEqual(await self.hits(glob=glob, pattern="."), [], glob)
        await self.hits(pattern=f"--pre={self.folder}/run")
        self.assertFalse(os.path.exists(os.path.join(self.folder, "ran")))

    async def test_refuses_what_is_no_pattern_or_glob_with_ripgreps_words_as_data(self):
        self.put("a.txt")
        error = await self.refused("invalid_argument", pattern="(unclosed")
        self.assertIn("unclosed group", error.details["ripgrep"])
        self.assertNotIn("unclosed", error.message)
        await self.refused("invalid_argument", pattern="x", glob="[")
        # What would be as large as this, or need to go back, is refused before anything is searched.
        for pattern in ("a{1000}{1000}{1000}", r"(a)\1", "(?=a)", "a\nb", "(" * 2_000, "x" * 5_000, "a\0b", ""):
            error = await self.refused("invalid_argument", pattern=pattern)
            self.assertLessEqual(len((error.details or {}).get("ripgrep", "")), limits.SEARCH_SAID_CHARACTERS)
        await self.refused("invalid_argument")
        with self.assertRaises(FileNotFoundError):
            await self.found("missing", pattern="x")

    async def test_no_pattern_takes_long_and_no_line_is_long(self):
        self.put("long", b"a" * 10_000_000 + b"!\n")
        self.put("many", ("e\u0301" * 1_000_000).encode() + b"\n")
        self.put("wide", ("\U0001f600" * 501).encode() + b"\n")
        begun = time.monotonic()
        for pattern in ("(a+)+b", "(a|aa)+$", "(.*)(.*)(.*)(.*)x"):
            self.assertEqual(await self.hits("long", pattern=pattern), [])
        matches = (await self.found(pattern="."))["matches"]
        self.assertLess(time.monotonic() - begun, 5)
        self.assertEqual([len(match["text"]) for match in matches], [limits.SEARCH_LINE_CHARACTERS] * 3)
        self.assertTrue(all(match["cut"] for match in matches))
        self.assertEqual(matches[2]["text"], "\U0001f600" * 500)

    async def test_stops_at_its_limit_and_says_so_only_where_there_is_more(self):
        for n in range(30):
            self.put(f"{n:02}", b"hello\n" * 10)
        result = await self.found(pattern="hello", limit=25)
        self.assertEqual((len(result["matches"]), result["stopped"]), (25, "limit"))
        self.assertEqual(result["matches"][-1], {"path": "/home/user/02", "line": 5, "text": "hello", "cut": False})
        result = await self.found(pattern="hello", limit=300)
        self.assertEqual((len(result["matches"]), result["stopped"]), (300, None))
        result = await self.found(glob="0*", limit=9)
        self.assertEqual((len(result["matches"]), result["stopped"]), (9, "limit"))

    async def test_stops_where_it_has_read_enough(self):
        self.put("zalgo", ("e" + "\u0301" * 100_000 + "\n").encode() * 10)
        with mock.patch.object(limits, "SEARCH_OUTPUT_BYTES", 500_000):
            result = await self.found(pattern="e")
        self.assertEqual(result["stopped"], "size")
        self.assertTrue(1 <= len(result["matches"]) < 10)

    async def test_what_cannot_be_read_is_said_and_fails_nothing(self):
        self.put("a.txt", b"hello\n")
        self.put("closed/b.txt", b"hello\n")
        os.chmod(os.path.join(self.folder, "closed"), 0)
        result = await self.found(pattern="hello")
        os.chmod(os.path.join(self.folder, "closed"), 0o755)
        self.assertEqual(([match["path"] for match in result["matches"]], result["stopped"]), (["/home/user/a.txt"], "unreadable"))

    async def begun(self, **params):
        """A search that has found what is in a.txt, and does not get on with b.txt."""
        self.put("a.txt", b"hello\n")
        self.put("b.txt", b"\n" * 100_000_000)
        task = asyncio.create_task(self.found(pattern="hello|!$", **params))
        while not (reading := [pid for pid in searching() if f"{self.folder}/b.txt" in opened(pid) and not is_stopped(pid)]):
            await asyncio.sleep(0)
        os.kill(reading[0], signal.SIGSTOP)
        return task

    async def test_at_its_deadline_it_tells_what_it_has(self):
        with mock.patch.object(limits, "SEARCH_S", 0.5):
            result = await (await self.begun())
        self.assertEqual(([match["text"] for match in result["matches"]], result["stopped"]), (["hello"], "time"))

    async def test_given_up_it_ends_its_process(self):
        task = await self.begun()
        task.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await task

    async def test_a_line_past_its_memory_ends_the_search_and_nothing_else(self):
        self.put("a.txt", b"hello\n")
        self.put("huge", b"x" * 150_000_000)
        result = await self.found(pattern="hello")
        self.assertEqual(([match["text"] for match in result["matches"]], result["stopped"]), (["hello"], "failed"))
        self.assertEqual(await self.hits("a.txt", pattern="hello"), ["a.txt:1:hello"])

    async def test_only_so_many_search_at_once(self):
        with mock.patch.multiple(limits, SEARCH_S=0.7, SEARCH_TURN_S=0.05):
            slow = await self.begun()
            others = [await self.begun() for _ in range(limits.SEARCHES - 1)]
            await self.refused("busy", pattern="x")
            self.assertEqual([(await task)["stopped"] for task in (slow, *others)], ["time"] * limits.SEARCHES)
            self.assertEqual(await self.hits("a.txt", pattern="x"), [])

    async def test_twenty_thousand_files_are_searched_in_time(self):
        for n in range(20_000):
            self.put(f"{n // 1000}/{n}", b"hello\n" if n % 2_000 == 0 else b"x\n")
        begun = time.monotonic()
        self.assertEqual(len(await self.hits(pattern="hello")), 10)
        self.assertLess(time.monotonic() - begun, 5)

    async def test_an_image_without_ripgrep_cannot_search(self):
        with mock.patch.object(shutil, "which", return_value=None):
            await self.refused("unsupported", pattern="x")

    async def test_one_that_does_not_come_about_is_not_one_that_finds_nothing(self):
        with mock.patch.object(shutil, "which", return_value="/usr/bin/missing"):
            self.assertEqual((await self.found(pattern="x"))["stopped"], "failed")


class Output(unittest.TestCase):
    def test_comes_apart_alike_in_pieces_of_any_size(self):
        printed = b"./a\n./b\0001:one\n20:./a: x\n./a\n./b: WARNING: binary\n\n./c\0003:\xff\r\n"
        expected = [(b"./a\n./b", 1, b"one"), (b"./a\n./b", 20, b"./a: x"), (b"./c", 3, b"\xff")]
        for size in range(1, len(printed)):
            output = SearchOutput(is_names=False)
            pieces = [printed[at : at + size] for at in range(0, len(printed), size)]
            self.assertEqual([found for piece in pieces for found in output.feed(piece)], expected, size)

    def test_another_form_is_refused(self):
        for printed in (b"./a\0no number\n", b"./a\x001no colon\n", b"./a\x00" + b"9" * 20 + b":x\n"):
            with self.assertRaises(RequestError):
                list(SearchOutput(is_names=False).feed(printed))
