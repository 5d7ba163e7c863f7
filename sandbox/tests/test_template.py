import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import unittest
from pathlib import Path

from kernelbox import limits
from kernelbox.errors import RequestError
from kernelbox.kernel import Kernel
from kernelbox.launcher import Launcher
from kernelbox.reaper import Reaper

USER_PACKAGES = Path("/home/user/.local/lib/python3.13/site-packages")

# Whether a fork works when the library was imported before it, and when it was used before it.
SURVIVES = {
    "numpy": (True, True),
    "pandas": (True, True),
    "pyarrow.compute": (True, True),
    "matplotlib.pyplot": (True, True),
    "duckdb": (True, True),
    "scipy.stats": (True, True),
    "joblib": (True, False),
    "sklearn.cluster": (True, False),
    "polars": (True, False),
}
NOT_IMPORTED = {"duckdb", "joblib", "plotly", "polars", "scipy", "seaborn", "sklearn", "statsmodels", "sympy"}


def outcomes(cases: list[tuple[str, bool, float]]) -> list[str]:
    program = [sys.executable, "-I", str(Path(__file__).with_name("forked_use.py")), json.dumps(cases)]
    ran = subprocess.run(program, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=120, check=True)
    told: list[str] = json.loads(ran.stdout)
    return told


class Imports(unittest.TestCase):
    """The table of what a template process may import."""

    def available(self) -> list[str]:
        import importlib.util

        return [module for module in SURVIVES if importlib.util.find_spec(module.partition(".")[0])]

    def test_what_is_imported_only_works_in_a_fork(self):
        modules = self.available()
        for module, outcome in zip(modules, outcomes([(module, False, 90) for module in modules]), strict=True):
            with self.subTest(module):
                self.assertEqual(outcome == "ok", SURVIVES[module][0], outcome)

    def test_what_was_used_before_works_in_a_fork_or_is_known_not_to(self):
        modules = self.available()
        # One that hangs does so for ever; the machine may be busy, so one that works may take its time.
        cases = [(module, True, 90.0 if SURVIVES[module][1] else 8.0) for module in modules]
        for module, outcome in zip(modules, outcomes(cases), strict=True):
            with self.subTest(module):
                self.assertEqual(outcome == "ok", SURVIVES[module][1], outcome)


def command_of(pid: int) -> str:
    """A program that has just begun has no command line for a moment: its parent goes on before that is in place."""
    deadline = time.monotonic() + 1
    while not (line := Path(f"/proc/{pid}/cmdline").read_bytes()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return line.replace(b"\0", b" ").decode()


class Forks(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        os.makedirs("/home/user", exist_ok=True)
        self.loop = asyncio.get_running_loop()
        self.launcher = Launcher(self.loop, Reaper(self.loop))
        self.template = self.launcher._template

    async def asyncTearDown(self):
        self.template._starts = [self.loop.time()] * limits.TEMPLATE_STARTS
        self.template._give_up()
        await asyncio.sleep(0.05)

    async def start(self, env=None):
        process = await self.launcher.start("python", "/home/user", env or {})
        kernel = Kernel(self.loop, process, on_output=lambda _: None, on_reply=lambda _: None, on_end=lambda _: None)
        self.addCleanup(kernel.abandon)
        await kernel.ready(40)
        return process, kernel

    async def test_a_kernel_is_a_fork_of_a_process_that_has_imported_only_what_survives(self):
        process, _ = await self.start()
        self.assertIn("kernelbox.kernels.template", command_of(process.pid))
        self.assertTrue({"numpy", "pandas", "matplotlib", "ipykernel"} <= self.template.packages)
        self.assertEqual(self.template.packages & NOT_IMPORTED, set())
        # Its own, OpenBLAS's and Arrow's: none of ours, and no more of theirs.
        self.assertLessEqual(len(os.listdir(f"/proc/{self.template._pid}/task")), 1 + 2 * (os.cpu_count() or 1))

    async def test_the_template_is_closed_to_user_code_and_a_kernel_is_open_to_its_own(self):
        process, _ = await self.start()
        with self.assertRaises(PermissionError):
            Path(f"/proc/{self.template._pid}/environ").read_bytes()
        self.assertIn(b"HOME=/home/user", Path(f"/proc/{process.pid}/environ").read_bytes())
        os.listdir(f"/proc/{process.pid}/fd")
        self.assertEqual(Path(f"/proc/{process.pid}/oom_score_adj").read_text().strip(), "1000")
        self.assertEqual(Path(f"/proc/{process.pid}/cwd").readlink(), Path("/home/user"))

    async def test_two_hundred_in_a_row(self):
        await self.start()
        descriptors = len(os.listdir("/proc/self/fd"))
        for _ in range(200):
            process = await self.launcher.start("python", "/home/user", {})
            kernel = Kernel(self.loop, process, on_output=lambda _: None, on_reply=lambda _: None, on_end=lambda _: None)
            try:
                await kernel.ready(40)
            finally:
                kernel.abandon()
            self.assertTrue(self.template._ready.done())
        zombies = [name for name in os.listdir("/proc") if name.isdigit() and is_zombie(name)]
        self.assertLess(len(zombies), 5)
        # Abandoned kernels close their sockets at the loop's next turns.
        await asyncio.sleep(0.1)
        self.assertLess(len(os.listdir("/proc/self/fd")), descriptors + 10)

    async def test_what_is_read_once_at_a_start_gets_a_start_of_its_own(self):
        for env in ({"OMP_NUM_THREADS": "1"}, {"PYTHONHASHSEED": "0"}, {"MPLBACKEND": "agg"}):
            with self.subTest(env):
                process, _ = await self.start(env)
                self.assertIn("kernelbox.kernels.python", command_of(process.pid))

    async def test_a_package_of_the_users_own_version_gets_a_start_of_its_own(self):
        await self.start()
        (USER_PACKAGES / "numpy").mkdir(parents=True)
        self.addCleanup((USER_PACKAGES / "numpy").rmdir)
        process = await self.launcher.start("python", "/home/user", {})
        self.addCleanup(process.close)
        self.addCleanup(process.kill)
        self.assertIn("kernelbox.kernels.python", command_of(process.pid))

    async def test_a_template_that_is_killed_is_replaced(self):
        await self.start()
        first = self.template._pid
        os.kill(first, signal.SIGKILL)
        for _ in range(100):
            await asyncio.sleep(0.02)
            if self.template._pid != first:
                break
        process, _ = await self.start()
        self.assertNotEqual(self.template._pid, first)
        self.assertIn("kernelbox.kernels.template", command_of(process.pid))

    async def test_a_template_that_is_killed_with_an_order_in_hand_costs_time_only(self):
        await self.start()
        order = asyncio.ensure_future(self.start())
        for _ in range(3):
            await asyncio.sleep(0)
        for pid in children_of(self.template._pid):
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        process, _ = await order
        self.assertTrue(process.is_alive)

    async def test_a_template_that_is_stopped_is_woken(self):
        await self.start()
        os.kill(self.template._pid, signal.SIGSTOP)
        process, _ = await self.start()
        self.assertIn("kernelbox.kernels.template", command_of(process.pid))
        process, _ = await self.start()
        self.assertIn("kernelbox.kernels.template", command_of(process.pid))

    async def test_one_that_is_killed_again_and_again_is_left_dead_for_a_while(self):
        await self.start()
        for _ in range(limits.TEMPLATE_STARTS + 5):
            with contextlib.suppress(OSError):
                os.kill(self.template._pid, signal.SIGKILL)
            await asyncio.sleep(0.05)
        self.assertEqual(len(self.template._starts), limits.TEMPLATE_STARTS)
        process, _ = await self.start()
        self.assertIn("kernelbox.kernels.python", command_of(process.pid))

    async def test_a_kernel_that_nobody_waits_for_any_more_is_killed(self):
        await self.start()
        before = set(children_of(os.getpid()))
        order = asyncio.ensure_future(self.launcher.start("python", "/home/user", {}))
        for _ in range(3):
            await asyncio.sleep(0)
        order.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await order
        for _ in range(200):
            await asyncio.sleep(0.02)
            left = set(children_of(os.getpid())) - before
            if all("template" in command_of_or_nothing(pid) and waits_for_an_order(pid, self.template._pid) for pid in left):
                return
        self.fail(f"left: {[command_of_or_nothing(pid) for pid in left]}")

    async def test_a_kernel_whose_caller_leaves_as_it_comes_is_killed(self):
        await self.start()
        order = asyncio.ensure_future(self.launcher.start("python", "/home/user", {}))
        while not self.template._orders:
            await asyncio.sleep(0)
        (pid,) = self.template._orders.values()
        take = self.template._take

        def take_and_leave(message):
            # The answer is there, and whoever waits for it has not been woken yet.
            take(message)
            order.cancel()

        self.template._take = take_and_leave
        with self.assertRaises(asyncio.CancelledError):
            await order
        for _ in range(100):
            if command_of_or_nothing(pid.result()) == "":
                return
            await asyncio.sleep(0.02)
        self.fail("it runs on")

    async def test_an_environment_larger_than_a_message_arrives(self):
        process, _ = await self.start({"LARGE": "ä" * 300_000})
        self.assertIn("kernelbox.kernels.template", command_of(process.pid))

    async def test_a_language_that_is_not_there_is_refused(self):
        with self.assertRaises(RequestError) as refused:
            await self.launcher.start("cobol", "/home/user", {})
        self.assertEqual(refused.exception.code, "unsupported")


def is_zombie(pid: str) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    return False


def parent_of(pid: int) -> int:
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return 0


def children_of(pid: int) -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != pid and parent_of(int(name)) == pid]


def command_of_or_nothing(pid: int) -> str:
    with contextlib.suppress(OSError):
        return command_of(pid)
    return ""


def waits_for_an_order(pid: int, template: int) -> bool:
    """The one fork ahead: a kernel has many threads."""
    with contextlib.suppress(OSError):
        return pid == template or len(os.listdir(f"/proc/{pid}/task")) <= 1
    return True
