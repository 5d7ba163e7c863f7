import asyncio
import io
import json
import os
import shutil
import tarfile
import tempfile
import unittest
from unittest import mock

from kernelbox import limits
from kernelbox.errors import RequestError
from kernelbox.install import Install
from kernelbox.installing import npm
from kernelbox.installing.distributions import Distributions, parsed
from kernelbox.installing.failure import InstallError
from kernelbox.installing.places import Places
from kernelbox.installing.wheels import install_wheels
from kernelbox.npm_registry import joined, only
from kernelbox.paths import HOME, Paths
from kernelbox.reaper import Reaper
from kernelbox.transfer import Transfer

from .wheels import wheel


class Installing(unittest.TestCase):
    def setUp(self):
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        self.folder = folder
        self.places = Places(base=f"{folder}/local", image=f"{folder}/image", deno_dir=f"{folder}/deno", registry="npm.example")
        self.staging = f"{folder}/staging"
        os.makedirs(self.staging)

    def install(self, *wheels):
        """Each by name, version and bytes."""
        staged = []
        for number, (name, version, content) in enumerate(wheels):
            path = os.path.join(self.staging, str(number))
            with open(path, "wb") as file:
                file.write(content)
            staged.append((name, version, path))
        return install_wheels(staged, self.staging, self.places)

    def failure(self, *wheels):
        with self.assertRaises(InstallError) as caught:
            self.install(*wheels)
        return caught.exception

    def there(self, folder=None):
        folder = folder or self.places.base
        return sorted(os.path.relpath(os.path.join(parent, name), folder) for parent, _, names in os.walk(folder) for name in names)

    def read(self, *parts):
        with open(os.path.join(self.places.base, *parts)) as file:
            return file.read()

    def has(self, requirement):
        return Distributions(self.places).meets(parsed([requirement])[0])


class Wheels(Installing):
    def test_installs_packages_commands_and_data_and_records_them(self):
        files = {"thing/__init__.py": "", "thing-1.0.data/scripts/do": "#!python\nprint(1)\n", "thing-1.0.data/data/share/x": "x"}
        content = wheel("thing", files=files, scripts="[console_scripts]\nthing = thing:main\n")
        self.assertEqual(self.install(("thing", "1.0", content)), [])
        site = os.path.relpath(self.places.site, self.places.base)
        for name in (f"{site}/thing/__init__.py", "bin/do", "bin/thing", "share/x", f"{site}/thing-1.0.dist-info/RECORD"):
            self.assertIn(name, self.there())
        for command in ("do", "thing"):
            self.assertTrue(self.read("bin", command).startswith("#!/opt/py/bin/python\n"))
            self.assertTrue(os.access(os.path.join(self.places.scripts, command), os.X_OK))
        record = self.read(site, "thing-1.0.dist-info", "RECORD")
        self.assertIn("../../../bin/thing,sha256=", record)
        self.assertEqual(os.listdir(self.staging), [])

    def test_a_newer_version_takes_the_place_of_an_older_one(self):
        self.install(
            ("thing", "1.0", wheel("thing", files={"thing/a.py": "", "thing/old/b.py": ""}, scripts="[console_scripts]\nold = thing:main\n"))
        )
        self.assertEqual(self.install(("Thing", "2.0", wheel("thing", "2.0", files={"thing/a.py": "2"}))), ["Thing"])
        self.assertEqual([name for name in self.there(self.places.site) if "dist-info" not in name], ["thing/a.py"])
        self.assertEqual(self.there(self.places.scripts), [])
        self.assertFalse(os.path.exists(f"{self.places.site}/thing/old"))
        self.assertEqual(Distributions(self.places).version("THING"), "2.0")

    def test_removes_nothing_elsewhere_and_nothing_through_a_link(self):
        kept = os.path.join(self.folder, "kept")
        os.makedirs(kept)
        for name in ("a", "b"):
            with open(os.path.join(kept, name), "w"):
                pass
        self.install(("thing", "1.0", wheel("thing")))
        os.symlink(kept, os.path.join(self.places.site, "link"))
        with open(os.path.join(self.places.site, "thing-1.0.dist-info", "RECORD"), "a") as record:
            record.write(f'link/a,,\n{kept}/b,,\n../../../../kept/b,,\n../../../../../../../../{kept}/a,,\n"\n')
        self.install(("thing", "2.0", wheel("thing", "2.0")))
        self.assertEqual(sorted(os.listdir(kept)), ["a", "b"])

    def test_what_fails_half_way_is_taken_back_and_the_older_version_is_there_again(self):
        good = {"thing/a.py": "1", "thing/b.py": "1"}
        self.install(("thing", "1.0", wheel("thing", files=good)))
        before = self.there()
        files = {"thing/a.py": "2", "thing/new.py": "2"}
        for bad in ("../evil.py", "/tmp/evil.py", "thing-2.0.data/unknown/x"):
            error = self.failure(("thing", "2.0", wheel("thing", "2.0", files=files, raw=[(bad, "x")])))
            self.assertEqual(error.code, "unsupported", bad)
            self.assertEqual(self.there(), before, bad)
            self.assertEqual(self.read(os.path.relpath(self.places.site, self.places.base), "thing", "a.py"), "1")
        self.assertFalse(os.path.exists("/tmp/evil.py"))
        with mock.patch("kernelbox.installing.wheels.copyfileobj_with_hashing", side_effect=OSError(28, "full")):
            self.assertEqual(self.failure(("thing", "2.0", wheel("thing", "2.0"))).code, "limit_exceeded")
        self.assertEqual(self.there(), before)

    def test_writes_through_no_link_in_a_files_place(self):
        kept = os.path.join(self.folder, "kept.py")
        with open(kept, "w") as file:
            file.write("mine")
        os.makedirs(self.places.site)
        os.symlink(kept, os.path.join(self.places.site, "thing.py"))
        self.install(("thing", "1.0", wheel("thing")))
        with open(kept) as file:
            self.assertEqual(file.read(), "mine")

    def test_what_is_no_wheel_or_another_packages_is_refused(self):
        for content in (b"", b"no wheel", wheel("other"), wheel("thing")[:-40]):
            self.assertEqual(self.failure(("thing", "1.0", content)).code, "unsupported")
            self.assertEqual(self.there(), [])
            self.assertTrue(os.path.isdir(self.places.site))

    def test_room_is_looked_at_first(self):
        content = wheel("thing", files={"thing/zeros": "0" * 5_000_000})
        known = os.statvfs(self.folder)
        few = mock.Mock(f_bavail=1_000, f_frsize=4_096, f_favail=known.f_favail)
        with mock.patch("kernelbox.installing.wheels.os.statvfs", return_value=few):
            error = self.failure(("thing", "1.0", content))
        self.assertEqual((error.code, error.details["free_bytes"]), ("limit_exceeded", 4_096_000))
        self.assertEqual(self.there(), [])
        with mock.patch.object(limits, "INSTALL_BYTES", 4_000_000):
            self.assertEqual(self.failure(("thing", "1.0", content)).code, "too_large")
        with mock.patch.object(limits, "INSTALL_ENTRIES", 3):
            self.assertEqual(self.failure(("thing", "1.0", content)).code, "too_large")


class Looking(Installing):
    def test_versions_extras_and_the_users_own_before_the_images(self):
        image = Places(base=self.folder, image="", deno_dir="")
        staged = os.path.join(self.staging, "0")
        with open(staged, "wb") as file:
            file.write(wheel("thing", "1.5"))
        install_wheels([("thing", "1.5", staged)], self.staging, image)
        os.rename(image.site, self.places.image)
        self.assertTrue(self.has("Thing>=1,<2"))
        self.assertFalse(self.has("thing>=2"))
        self.assertFalse(self.has("nothing"))
        self.install(("thing", "2.0rc1", wheel("thing", "2.0rc1", requires=['more>=1; extra == "full"', "always"], extras=["full"])))
        self.assertTrue(self.has("thing>=2.0rc1"))
        self.assertTrue(self.has("thing>1.9"))
        self.assertFalse(self.has("thing[full]"))
        self.install(("more", "1.0", wheel("more")))
        self.assertTrue(self.has("thing[full]"))

    def test_a_package_without_its_description_is_there_with_whatever_extras(self):
        self.install(("thing", "1.0", wheel("thing", requires=['more; extra == "full"'], extras=["full"])))
        self.assertFalse(self.has("thing[full]"))
        os.unlink(f"{self.places.site}/thing-1.0.dist-info/METADATA")
        self.assertTrue(self.has("thing[full]"))

    def test_what_is_no_requirement_is_refused(self):
        for bad in ("a b", "a @@ x", "-r x", ""):
            with self.assertRaises(InstallError, msg=bad):
                parsed([bad])


class Npm(Installing):
    def tar(self, entries):
        path = os.path.join(self.staging, "0")
        with tarfile.open(path, "w") as tar:
            for name, content in entries.items():
                info = tarfile.TarInfo(name)
                if content is None:
                    info.type, info.linkname = tarfile.SYMTYPE, "/etc"
                else:
                    info.size = len(content)
                tar.addfile(info, io.BytesIO((content or "").encode()))
        return path

    def package(self, name="left", version="1.0.0"):
        integrity = "sha512-" + "A" * 86 + "=="
        about = {"version": version, "dist": {"tarball": "https://x/", "shasum": "0" * 40, "integrity": integrity}, "dependencies": {}}
        answer = only({"name": name, "versions": {version: about}, "dist-tags": {"latest": version}}, {version})
        return {f"{name}/{version}/index.js": f"module.exports = '{version}'", f"{name}/registry.json": json.dumps(answer)}

    def install_npm(self, entries):
        return npm.install_packages(self.tar(entries), self.staging, self.places)

    def test_versions_stand_beside_each_other_and_are_found(self):
        self.assertEqual(npm.present(["left", "left@1"], self.places), [None, None])
        self.assertEqual(self.install_npm(self.package()), [("left", "1.0.0")])
        shutil.rmtree(f"{self.staging}/npm")
        self.assertEqual(self.install_npm({**self.package(version="2.1.0"), **self.package("@my/own")}), [("@my/own", "1.0.0"), ("left", "2.1.0")])
        asked = ["left", "left@^1", "left@2", "left@3", "@my/own", "right"]
        self.assertEqual(npm.present(asked, self.places), [("left", "2.1.0"), ("left", "1.0.0"), ("left", "2.1.0"), None, ("@my/own", "1.0.0"), None])

    def test_a_version_whose_folder_is_gone_is_not_there(self):
        self.install_npm(self.package())
        shutil.rmtree(f"{self.places.npm}/left/1.0.0")
        self.assertEqual(npm.present(["left"], self.places), [None])

    def test_hostile_archives_are_refused_and_leave_nothing(self):
        good = self.package()
        cases = [
            {"left/1.0.0/x": None},
            {"../evil": "x"},
            {"/tmp/evil": "x"},
            {"left/../../evil": "x"},
            {"left/no-version/x": "x"},
            {".left/1.0.0/x": "x"},
            {"left/2.0.0/x": "x", "left/registry.json": good["left/registry.json"]},
            {"left/1.0.0/x": "x"},
        ]
        for entries in cases:
            with self.assertRaises((InstallError, OSError, KeyError), msg=entries):
                self.install_npm(entries)
            self.assertEqual(self.there(self.places.deno_dir), [], entries)
            shutil.rmtree(f"{self.staging}/npm", ignore_errors=True)
        self.assertFalse(os.path.exists("/tmp/evil"))
        with mock.patch.object(limits, "INSTALL_ENTRIES", 1), self.assertRaises(InstallError):
            self.install_npm(good)
        with mock.patch.object(limits, "INSTALL_BYTES", 1_000), self.assertRaises(InstallError):
            self.install_npm(good)

    def test_the_registrys_words_are_cut_and_joined(self):
        tags = {"latest": "2.0.0", "old": "1.0.0"}
        answer = {"name": "a", "versions": {"1.0.0": {}, "2.0.0": {}}, "dist-tags": tags, "time": {"created": "x", "1.0.0": "y"}}
        old, new = only(answer, {"1.0.0"}), only(answer, {"2.0.0"})
        self.assertEqual(old, {"name": "a", "versions": {"1.0.0": {}}, "dist-tags": {"old": "1.0.0"}, "time": {"1.0.0": "y"}})
        self.assertEqual(joined(old, new), {**answer, "time": {"1.0.0": "y", "2.0.0": "2000-01-01T00:00:00.000Z"}})
        with self.assertRaises(KeyError):
            only(answer, {"3.0.0"})


class Nothing:
    def control(self, _frame):
        pass

    def bulk(self, _frames, on_sent=None):
        pass


PIP = {"manager": "pip", "registry": "npm.example"}


class Request(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        loop = asyncio.get_running_loop()
        shutil.rmtree(f"{HOME}/.local", ignore_errors=True)
        with mock.patch("kernelbox.install.HAS_NETWORK", True):
            self.install = Install(loop, Reaper(loop), Paths())

    def transfer(self, content, is_ended=True):
        transfer = Transfer(1, Nothing())
        for at in range(0, len(content), 64 * 1024):
            transfer.data(content[at : at + 64 * 1024])
        if is_ended:
            transfer.end()
        return transfer

    async def test_the_users_folder_is_there_from_the_start_where_packages_can_come(self):
        self.assertTrue(os.path.isdir(Places().site))
        shutil.rmtree(f"{HOME}/.local")
        loop = asyncio.get_running_loop()
        with mock.patch("kernelbox.install.HAS_NETWORK", False):
            Install(loop, Reaper(loop), Paths())
        self.assertEqual([name for name in os.listdir(HOME) if name == ".local"], [])

    async def test_takes_bytes_installs_them_and_leaves_no_stage(self):
        one, two = wheel("one", files={"one.py": "x" * 50_000}), wheel("two")
        params = {**PIP, "packages": [{"name": "one", "version": "1.0"}, {"name": "two", "version": "1.0"}], "sizes": [len(one), len(two)]}
        answer = await self.install.install(params, self.transfer(one + two))
        self.assertEqual((answer["installed"], answer["replaced"]), (params["packages"], []))
        looked = await self.install.look({**PIP, "packages": ["one", "two>1", "numpy"]})
        self.assertEqual([each and each["name"] for each in looked["present"]], ["one", None, "numpy"])
        self.assertEqual(looked["installed"], params["packages"])
        self.assertEqual(sorted(os.listdir(f"{HOME}/.local")), ["lib"])

    async def test_too_few_bytes_and_a_caller_who_leaves_leave_nothing(self):
        params = {**PIP, "packages": [{"name": "one", "version": "1.0"}], "sizes": [1_000]}
        with self.assertRaises(RequestError):
            await self.install.install(params, self.transfer(b"x"))
        running = asyncio.ensure_future(self.install.install(params, self.transfer(b"x", is_ended=False)))
        await asyncio.sleep(0.1)
        running.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await running
        for bad in ([-1], [1] * (limits.INSTALL_WHEELS + 1), [2**50]):
            with self.assertRaises(RequestError, msg=bad[0]):
                await self.install.install({**params, "sizes": bad}, self.transfer(b""))
        with self.assertRaises(RequestError):
            await self.install.look({**params, "registry": "../lib"})
        self.assertEqual(sorted(os.listdir(f"{HOME}/.local")), ["lib"])

    async def test_has_a_deadline_and_what_was_half_there_is_taken_back(self):
        large = wheel("large", files={f"large/{number}.py": "x" for number in range(20_000)})
        params = {**PIP, "packages": [{"name": "large", "version": "1.0"}], "sizes": [len(large)], "timeout_s": 1.0}
        with self.assertRaises(RequestError) as caught:
            await self.install.install(params, self.transfer(large))
        self.assertEqual(caught.exception.code, "deadline_exceeded")
        self.assertEqual(os.listdir(Places().site), [])
        self.assertEqual(sorted(os.listdir(f"{HOME}/.local")), ["lib"])
