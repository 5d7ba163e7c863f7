import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import unittest
from unittest import mock

from kernelbox import limits
from kernelbox.fetcher import npm_fetch, pip_fetch, pip_words, program
from kernelbox.fetcher.cache import Cache
from kernelbox.fetcher.failure import FetchError
from kernelbox.fetcher.request import Request

from .wheels import Index, npm_package, source_package, wheel


@contextlib.contextmanager
def listening(answer):
    """Somebody who answers each connection with these bytes, or never."""
    server = socket.create_server(("127.0.0.1", 0))
    held = []

    def serve():
        with contextlib.suppress(OSError):
            while True:
                connection, _ = server.accept()
                held.append(connection)
                if answer is not None:
                    connection.recv(4096)
                    connection.sendall(answer)
                    connection.close()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
    finally:
        # Or the thread that accepts would go on to.
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        for connection in held:
            connection.close()


class Fetching(unittest.TestCase):
    manager = "pip"

    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)
        self.cache = Cache(self.folder)
        self.enterContext(self.cache.used())
        self.index = Index()
        self.addCleanup(self.index.close)

    def request(self, *packages, indexes=None, **more):
        asked = {"manager": self.manager, "packages": packages, "indexes": indexes, "max_bytes": 10_000_000, "cache_bytes": 10**9, "timeout_s": 60}
        if indexes is None:
            asked["indexes"] = {"PIP_INDEX_URL": f"{self.index.address}/simple/", "NPM_CONFIG_REGISTRY": f"{self.index.address}/"}
        return Request.parse(json.dumps({**asked, **more}).encode())

    def fetch(self, *packages, **more):
        request = self.request(*packages, **more)
        with self.cache.job() as job:
            got = (pip_fetch if self.manager == "pip" else npm_fetch).fetch(request, self.cache, job, time.monotonic() + request.timeout_s)
            contents = []
            for path in got.paths:
                with open(path, "rb") as file:
                    contents.append(file.read())
            return got.packages, contents

    def failure(self, *packages, **more):
        with self.assertRaises(FetchError) as caught:
            self.fetch(*packages, **more)
        return caught.exception.as_json()


class Pip(Fetching):
    def test_gets_a_wheel_and_what_it_needs_and_nothing_that_is_there(self):
        one = wheel("one", requires=["two>=1", "numpy>=1", "three"])
        self.index.put("one", ("one-1.0-py3-none-any.whl", one))
        two = wheel("two")
        self.index.put("two", ("two-1.0-py3-none-any.whl", two))
        packages, contents = self.fetch("one", installed=[{"name": "three", "version": "3.0"}, {"name": "../x", "version": "1"}])
        self.assertEqual((packages, contents), ([("one", "1.0"), ("two", "1.0")], [one, two]))
        self.assertEqual([path for path in self.index.asked if "numpy" in path or "three" in path], [])

    def test_nothing_where_all_is_there(self):
        self.assertEqual(self.fetch("numpy"), ([], []))

    @contextlib.contextmanager
    def trusted_index(self):
        """pip keeps nothing that came without TLS, but from a host that it was told to trust."""

        def run(command, env, *rest, **more):
            return program.run(command, {**env, "PIP_TRUSTED_HOST": self.index.address.removeprefix("http://")}, *rest, **more)

        with mock.patch.object(pip_fetch, "run", run):
            yield

    def test_the_second_time_comes_from_the_cache_and_a_damaged_one_is_thrown_away(self):
        self.index.put("one", ("one-1.0-py3-none-any.whl", wheel("one")))
        with self.trusted_index():
            first = self.fetch("one")
            self.assertIn("/files/one-1.0-py3-none-any.whl", self.index.asked)
            self.index.asked.clear()
            self.assertEqual(self.fetch("one"), first)
            self.assertNotIn("/files/one-1.0-py3-none-any.whl", self.index.asked)
            for parent, _, names in os.walk(self.cache.pip):
                for name in names:
                    with open(os.path.join(parent, name), "r+b") as file:
                        size = file.seek(0, os.SEEK_END)
                        file.seek(size // 2)
                        file.write(b"damage" * 4)
            self.assertEqual(self.fetch("one"), first)
            self.assertIn("/files/one-1.0-py3-none-any.whl", self.index.asked)

    def test_tells_apart_what_is_not_there(self):
        self.index.put("one", *[(f"one-{number}.0-py3-none-any.whl", wheel("one", f"{number}.0")) for number in range(1, 31)])
        self.index.put("source", ("source-1.0.tar.gz", b"x"))
        self.index.put("windows", ("windows-1.0-cp313-cp313-win_amd64.whl", b"x"))
        self.index.put("needs", ("needs-1.0-py3-none-any.whl", wheel("needs", requires=["one<3"])))
        self.assertEqual(self.failure("nowhere"), {"code": "not_found", "name": "nowhere"})
        missing = self.failure("one==99")
        self.assertEqual((missing["code"], missing["name"], missing["left_out"]), ("no_version", "one", 10))
        self.assertEqual((len(missing["versions"]), missing["versions"][-1]), (limits.FETCH_VERSIONS, "30.0"))
        self.assertEqual(self.failure("source"), {"code": "no_wheel", "name": "source", "only_source": True})
        self.assertEqual(self.failure("windows"), {"code": "no_wheel", "name": "windows", "only_source": False})
        conflict = self.failure("needs", "one>5")
        self.assertEqual(conflict["code"], "conflict")
        self.assertIn("needs 1.0 depends on one<3", conflict["lines"])

    def test_a_package_that_is_needed_by_an_address_is_refused_and_its_code_does_not_run(self):
        mark = os.path.join(self.folder, "ran")
        evil = source_package("evil", f"open({mark!r}, 'w')")
        self.index.pages["/evil-1.0.tar.gz"] = (200, "application/octet-stream", evil)
        self.index.pages["/evil-1.0-py3-none-any.whl"] = (200, "application/octet-stream", wheel("evil"))
        file = os.path.join(self.folder, "evil-1.0.tar.gz")
        with open(file, "wb") as out:
            out.write(evil)
        addresses = [f"{self.index.address}/evil-1.0.tar.gz", f"{self.index.address}/evil-1.0-py3-none-any.whl", f"file://{file}"]
        for number, address in enumerate(addresses):
            name = f"good{number}"
            self.index.put(name, (f"{name}-1.0-py3-none-any.whl", wheel(name, requires=[f"evil @ {address}"])))
            self.assertEqual(self.failure(name), {"code": "by_address"}, address)
            self.assertFalse(os.path.exists(mark), address)
        self.assertEqual([path for path in self.index.asked if path.startswith("/evil")], [])
        # Who needs it only for an extra that nobody asked for is taken.
        self.index.put("extra", ("extra-1.0-py3-none-any.whl", wheel("extra", requires=[f'evil @ {addresses[0]} ; extra == "x"'], extras=["x"])))
        self.assertEqual(self.fetch("extra")[0], [("extra", "1.0")])
        self.assertEqual(self.failure("extra[x]"), {"code": "by_address"})

    def test_tells_apart_what_is_between_it_and_the_index(self):
        away = {"indexes": {"PIP_INDEX_URL": "https://me:secret@index.example/simple/"}}
        with listening(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n") as proxy:
            self.assertEqual(self.failure("one", proxy=proxy, **away), {"code": "refused", "host": "index.example"})
        self.assertEqual(self.failure("one", proxy=proxy, **away)["code"], "network")
        plain = {"indexes": {"PIP_INDEX_URL": "http://me:secret@index.example/simple/"}}
        with listening(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n") as proxy:
            self.assertEqual(self.failure("one", proxy=proxy, **plain), {"code": "insecure", "host": "index.example"})
        with listening(None) as silent:
            self.assertEqual(self.failure("one", proxy=silent, timeout_s=2, **away), {"code": "timeout"})
        self.index.pages["/simple/one/"] = (401, "text/plain", b"")
        self.assertEqual(self.failure("one"), {"code": "index", "status": 401})

    def test_has_a_bound(self):
        self.index.put("large", ("large-1.0-py3-none-any.whl", wheel("large", files={"large.bin": os.urandom(400_000).hex()})))
        self.index.delay_s = 0.6
        self.assertEqual(self.failure("large", max_bytes=1_000), {"code": "too_large", "max_bytes": 1_000})

    def test_a_full_disk_is_known_by_its_name(self):
        self.assertEqual(pip_words.failure("ERROR: [Errno 28] No space left on device").code, "disk_full")

    def test_takes_names_alone(self):
        hostile = ["-r x", "--index-url=http://x", "http://x/y.whl", "./x", "a @ http://x", "a; sys_platform=='x'", "a\nb", "", "a" * 300]
        for package in hostile:
            with self.assertRaises(FetchError, msg=package) as caught:
                self.request(package)
            self.assertEqual(caught.exception.code, "invalid")
        for bad in ({"proxy": "http://evil.example:1"}, {"manager": "apt"}, {"timeout_s": None}, {"installed": [1]}):
            with self.assertRaises(FetchError, msg=bad):
                self.request("a", **bad)

    def test_the_cache_keeps_its_bound_and_what_killed_fetches_left_goes(self):
        os.makedirs(self.cache.pip)
        for number in range(10):
            path = os.path.join(self.cache.pip, str(number))
            with open(path, "wb") as file:
                file.write(bytes(1_000))
            os.utime(path, (number, number))
        self.cache.shrink(20_000)
        self.assertEqual(len(os.listdir(self.cache.pip)), 10)
        self.cache.shrink(12_000)
        self.assertEqual(sorted(os.listdir(self.cache.pip)), ["6", "7", "8", "9"])
        other = Cache(self.folder)
        with other.used():
            # Somebody uses it: nothing goes.
            self.cache.shrink(0)
            self.cache.forget(self.cache.pip)
        self.assertEqual(len(os.listdir(self.cache.pip)), 4)
        self.cache.shrink(0)
        self.assertEqual(os.listdir(self.cache.pip), [])
        left = os.path.join(self.folder, "jobs", "left")
        os.makedirs(left)
        with self.cache.job() as job:
            self.assertTrue(os.path.isdir(left))
            self.assertEqual(os.stat(job).st_mode & 0o777, 0o700)
        os.utime(left, (0, 0))
        with self.cache.job():
            self.assertFalse(os.path.isdir(left))
        self.assertFalse(os.path.exists(job))

    def test_what_killed_fetchers_left_goes_where_nobody_else_is_there(self):
        left = os.path.join(self.folder, "jobs", "left")
        os.makedirs(left)
        other = Cache(self.folder)
        with other.used(), other.job() as others, self.cache.job() as job:
            self.cache.shrink(10**9)
            # Who asked to be alone, and was not, is still there for the others.
            other.shrink(10**9)
            self.assertEqual(sorted(os.listdir(os.path.join(self.folder, "jobs"))), sorted(os.path.basename(each) for each in (left, others, job)))
        with self.cache.job() as job:
            self.cache.shrink(10**9)
            self.assertEqual(os.listdir(os.path.join(self.folder, "jobs")), [os.path.basename(job)])

    def test_a_folder_that_is_thrown_away_is_gone_at_once_though_removing_it_is_cut_short(self):
        for throw_away in (lambda: self.cache.forget(self.cache.deno), lambda: self.cache.shrink(0)):
            os.makedirs(f"{self.cache.deno}/a/1.0.0")
            for name in ("a", "b"):
                with open(f"{self.cache.deno}/a/1.0.0/{name}", "w") as file:
                    file.write("x")
            with mock.patch("kernelbox.fetcher.cache.shutil.rmtree", side_effect=SystemExit), self.assertRaises(SystemExit):
                throw_away()
            self.assertFalse(os.path.exists(self.cache.deno))
            self.cache.shrink(10**9)
        # Where there is none, that is fine.
        self.cache.forget(self.cache.deno)

    def test_who_is_stopped_does_not_try_again_nor_throw_the_cache_away(self):
        self.addCleanup(program._stopping.clear)
        os.makedirs(self.cache.pip)
        self.index.put("one", ("one-1.0-py3-none-any.whl", wheel("one")))
        self.index.delay_s = 10
        stop = threading.Timer(2, program.kill_running)
        stop.start()
        self.addCleanup(stop.join)
        started = time.monotonic()
        self.assertEqual(self.failure("one"), {"code": "stopped"})
        self.assertLess(time.monotonic() - started, 8)
        self.assertTrue(os.path.isdir(self.cache.pip))
        # And nothing more begins.
        self.index.asked.clear()
        self.assertEqual(self.failure("one"), {"code": "stopped"})
        self.assertEqual(self.index.asked, [])

    def test_as_a_program_it_answers_a_line_and_the_bytes_and_ends_with_its_stdin(self):
        content = wheel("one")
        self.index.put("one", ("one-1.0-py3-none-any.whl", content))
        asked = {"manager": "pip", "packages": ["one"], "indexes": {"PIP_INDEX_URL": f"{self.index.address}/simple/"}}
        asked |= {"max_bytes": 10**7, "cache_bytes": 10**9, "timeout_s": 60}
        # Where the volume would be there is none here, and nothing that could be written.
        command = [sys.executable, "-I", "-m", "kernelbox.fetcher", self.folder]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            process.stdin.write(json.dumps(asked).encode() + b"\n")
            process.stdin.flush()
            self.assertEqual(
                json.loads(process.stdout.readline()), {"packages": [{"name": "one", "version": "1.0"}], "files": [{"size": len(content)}]}
            )
            self.assertEqual(process.stdout.read(), content)
        self.index.delay_s = 30
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            process.stdin.write(json.dumps(asked).encode() + b"\n")
            process.stdin.flush()
            time.sleep(1)
            started = time.monotonic()
            process.stdin.close()
            process.wait(10)
            self.assertLess(time.monotonic() - started, 5)
        self.assertEqual(os.listdir(os.path.join(self.folder, "jobs")), [])


class Npm(Fetching):
    manager = "npm"

    def setUp(self):
        super().setUp()
        inner = [(version, npm_package("inner", version, {"index.js": f"module.exports = '{version}'"}), {}) for version in ("1.0.0", "1.1.0")]
        self.index.put_npm("inner", *inner)
        outer = npm_package("outer", "2.0.0", {"index.js": "module.exports = require('inner')", "a/b.js": ""}, {"inner": "^1"})
        self.index.put_npm("outer", ("2.0.0", outer, {"inner": "^1"}))

    def test_gets_a_package_and_what_it_needs_with_the_registrys_words_about_those_alone(self):
        packages, (content,) = self.fetch("outer")
        self.assertEqual(packages, [("inner", "1.1.0"), ("outer", "2.0.0")])
        path = os.path.join(self.folder, "got.tar")
        with open(path, "wb") as file:
            file.write(content)
        with tarfile.open(path) as tar:
            names = tar.getnames()
            answer = json.load(tar.extractfile("inner/registry.json"))
        self.assertIn("outer/2.0.0/a/b.js", names)
        self.assertEqual((list(answer["versions"]), answer["dist-tags"]), (["1.1.0"], {"latest": "1.1.0"}))

    def test_the_second_time_comes_from_the_cache_and_a_new_version_is_found_after_a_while(self):
        self.fetch("inner")
        self.index.asked.clear()
        self.assertEqual(self.fetch("inner")[0], [("inner", "1.1.0")])
        self.assertEqual(self.index.asked, [])
        newer = npm_package("inner", "1.2.0", {"index.js": ""})
        self.index.put_npm("inner", ("1.2.0", newer, {}))
        self.assertEqual(self.fetch("inner")[0], [("inner", "1.1.0")])
        with mock.patch.object(limits, "FETCH_ANSWER_S", -1):
            self.assertEqual(self.fetch("inner")[0], [("inner", "1.2.0")])

    def test_a_damaged_cache_is_thrown_away(self):
        first = self.fetch("outer")
        for parent, _, names in os.walk(self.cache.deno):
            for name in names:
                if name == "registry.json":
                    with open(os.path.join(parent, name), "w") as file:
                        file.write("{")
        self.assertEqual(self.fetch("outer"), first)

    def test_tells_apart_what_is_not_there_and_what_is_between(self):
        self.assertEqual(self.failure("nowhere"), {"code": "not_found", "name": "nowhere"})
        self.assertEqual(self.failure("inner@^9")["code"], "no_version")
        self.assertEqual(self.failure("inner@nightly")["code"], "no_version")
        away = {"indexes": {"NPM_CONFIG_REGISTRY": "https://me:secret@registry.example/"}}
        with listening(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n") as proxy:
            self.assertEqual(self.failure("inner", proxy=proxy, **away), {"code": "refused", "host": "registry.example"})
        self.assertEqual(self.failure("inner", proxy=proxy, **away)["code"], "network")
        with listening(None) as silent:
            self.assertEqual(self.failure("inner", proxy=silent, timeout_s=2, **away), {"code": "timeout"})

    def test_has_a_bound(self):
        self.assertEqual(self.failure("outer", max_bytes=10)["code"], "too_large")

    def test_an_answer_that_another_fetch_has_removed_first_is_no_failure(self):
        self.fetch("inner")
        listed = npm_fetch.files_beneath

        def late(folder):
            found = listed(folder)
            for path, _, _ in found:
                if path.endswith("registry.json"):
                    os.unlink(path)
            return found

        with mock.patch.object(npm_fetch, "files_beneath", late):
            npm_fetch._forget_old_answers(self.cache.deno)
        self.assertEqual(self.fetch("inner")[0], [("inner", "1.1.0")])

    def test_what_deno_unpacks_has_a_bound_before_anything_is_packed(self):
        files = {"index.js": "", "large.bin": os.urandom(400_000).hex(), **{f"{number}.js": "" for number in range(200)}}
        self.index.put_npm("large", ("1.0.0", npm_package("large", "1.0.0", files), {}))
        # Nothing can be packed before this one is there.
        self.index.delays_s["/inner/-/1.1.0.tgz"] = 20
        started = time.monotonic()
        self.assertEqual(self.failure("large", "inner", max_bytes=400_000), {"code": "too_large", "max_bytes": 400_000})
        self.assertFalse(os.path.exists(self.cache.deno))
        with mock.patch.object(limits, "INSTALL_ENTRIES", 100):
            self.assertEqual(self.failure("large", "inner"), {"code": "too_large", "max_files": 100})
        self.assertFalse(os.path.exists(self.cache.deno))
        self.assertLess(time.monotonic() - started, 15)
