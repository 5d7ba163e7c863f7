import asyncio
import json
import os
import signal
import time
import unittest
from pathlib import Path

from kernelbox import limits
from kernelbox.kernel import Kernel
from kernelbox.launcher import Launcher
from kernelbox.reaper import Reaper

from .test_template import children_of, command_of, command_of_or_nothing, waits_for_an_order

# Read when an interpreter starts, so such a kernel is no fork.
PLAIN = {"PYTHONHASHSEED": "random"}
# What code can see of the process that it runs in.
STATE = r"""
import asyncio, atexit, builtins, ctypes, decimal, faulthandler, gc, json, locale, logging, multiprocessing, os, re, resource, signal, site, socket
import sys, tempfile, threading, time, warnings, __main__
def told(value):
    return re.sub(r"0x[0-9a-f]+|kernel-\w+/", "", repr(value))
def descriptor(fd):
    flags = int(open(f"/proc/self/fdinfo/{fd}").read().split("flags:")[1].split()[0], 8)
    return os.readlink(f"/proc/self/fd/{fd}").split(":[")[0], flags & os.O_ACCMODE, bool(flags & os.O_CLOEXEC)
state = {name: getattr(sys, name, None) for name in (
    "path", "argv", "executable", "prefix", "flags", "warnoptions", "dont_write_bytecode", "stdin", "stdout", "stderr", "__stdin__", "__stdout__",
    "__stderr__", "excepthook", "unraisablehook", "displayhook", "breakpointhook", "meta_path", "path_hooks")}
state.update(
    recursion=sys.getrecursionlimit(), switch=sys.getswitchinterval(), digits=sys.get_int_max_str_digits(), trace=(sys.gettrace(), sys.getprofile()),
    environ=sorted(os.environ.items()), at_start=open("/proc/self/environ").read().split("\0"),
    handlers=[(each.name, signal.getsignal(each)) for each in signal.Signals], mask=signal.pthread_sigmask(signal.SIG_BLOCK, []),
    status=[line for line in open("/proc/self/status") if line.startswith(("Name", "Umask", "SigPnd", "SigBlk", "SigIgn", "SigCgt", "ShdPnd"))],
    limits=[(name, resource.getrlimit(getattr(resource, name))) for name in dir(resource) if name.startswith("RLIMIT")],
    place=(os.getcwd(), os.getpgid(0) == os.getsid(0) == os.getpid(), os.getppid(), os.getpriority(0, 0), sorted(os.sched_getaffinity(0))),
    descriptors=sorted(descriptor(fd) for fd in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{fd}") or fd in "012"),
    closed=[ctypes.CDLL(None).prctl(option, 0, 0, 0, 0) for option in (3,)], score=open("/proc/self/oom_score_adj").read(),
    threads=sorted(thread.name.partition("-")[0] for thread in threading.enumerate()),
    main=(threading.main_thread() is threading.current_thread(), threading.main_thread().native_id == os.getpid(), threading.stack_size()),
    module=(__main__ is get_ipython().user_module, getattr(__main__, "__file__", None), getattr(__main__, "__spec__", None)),
    names=sorted(name for name in get_ipython().user_ns if name not in ("told", "descriptor", "state")), builtins=sorted(vars(builtins)),
    logging=(logging.root.level, logging.root.handlers, logging.raiseExceptions), fault=faulthandler.is_enabled(),
    locale=[locale.setlocale(each) for each in (locale.LC_CTYPE, locale.LC_NUMERIC, locale.LC_TIME, locale.LC_COLLATE)] + [locale.getencoding()],
    zone=time.tzname, gc=(gc.isenabled(), gc.get_threshold(), gc.get_debug()), folder=tempfile.gettempdir(), timeout=socket.getdefaulttimeout(),
    site=(site.ENABLE_USER_SITE, site.USER_SITE), policy=type(asyncio.get_event_loop_policy()), decimal=decimal.getcontext(),
    processes=(multiprocessing.get_start_method(allow_none=True), multiprocessing.parent_process(), multiprocessing.current_process().name),
    magics=sorted(get_ipython().magics_manager.magics["line"]),
    hooks=[(name, [hook.__qualname__ for hook in hooks]) for name, hooks in get_ipython().events.callbacks.items()])
import matplotlib, numpy, pandas, matplotlib.pyplot
state.update(
    filters=sorted(map(told, warnings.filters)), printing=(numpy.get_printoptions(), numpy.geterr()),
    pandas=[(name, pandas.get_option(name)) for name in ("display.max_columns", "display.max_rows", "display.width", "mode.copy_on_write")],
    matplotlib=(matplotlib.is_interactive(), dict(matplotlib.rcParams), matplotlib.get_configdir(), matplotlib.pyplot._REPL_DISPLAYHOOK,
        matplotlib.pyplot._backend_mod, sorted(name for name in sys.modules if name.startswith("matplotlib_inline"))))
json.dump({name: told(value) for name, value in state.items()}, open("/tmp/state", "w"))
"""
WIDE = "import pandas\nopen('/tmp/wide', 'w').write(repr(pandas.DataFrame([range(30)], columns=[f'column {at}' for at in range(30)])))"
UNSHOWN = "import matplotlib.pyplot as plt\nplt.ioff()\nplt.plot([1, 2])"


class Client:
    """A kernel and what it says."""

    def __init__(self, loop, process):
        self.said = []
        self.process = process
        self.ended = asyncio.Event()
        self.kernel = Kernel(loop, process, on_output=self.said.append, on_reply=self.replied, on_end=lambda _: self.ended.set())

    def replied(self, message):
        self.said.append(message)
        self.ended.set()

    async def run(self, code):
        self.ended.clear()
        self.kernel.execute(code, {})
        await asyncio.wait_for(self.ended.wait(), 30)
        await asyncio.sleep(0.1)
        errors = [message.content for message in self.said if message.kind == "execute_reply" and message.content["status"] != "ok"]
        assert errors == [], errors


class ForkTest(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        os.makedirs("/home/user", exist_ok=True)
        self.loop = asyncio.get_running_loop()
        # As the supervisor does, whose children inherit it.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals() - {signal.SIGCHLD})
        self.addCleanup(signal.pthread_sigmask, signal.SIG_SETMASK, before)
        self.launcher = Launcher(self.loop, Reaper(self.loop))
        self.template = self.launcher._template

    async def asyncTearDown(self):
        self.template._starts = [self.loop.time()] * limits.TEMPLATE_STARTS
        self.template._give_up()
        await asyncio.sleep(0.05)

    async def start(self, env=None):
        client = Client(self.loop, await self.launcher.start("python", "/home/user", env or {}))
        self.addCleanup(client.kernel.abandon)
        await client.kernel.ready(40)
        return client

    async def waiting(self):
        """The fork that waits for an order."""
        for _ in range(200):
            for pid in children_of(os.getpid()):
                if pid != self.template._pid and "template" in command_of_or_nothing(pid) and waits_for_an_order(pid, self.template._pid):
                    return pid
            await asyncio.sleep(0.02)
        self.fail("no fork waits")

    def kernels(self):
        """Processes that have become kernels, or are about to."""
        ours = [pid for pid in children_of(os.getpid()) if "kernelbox.kernels" in command_of_or_nothing(pid)]
        return [pid for pid in ours if os.getsid(pid) == pid != self.template._pid]


class Alike(ForkTest):
    async def test_code_sees_the_same_process_as_in_a_plain_start(self):
        states = []
        for env in ({}, PLAIN):
            client = await self.start(env)
            await client.run(STATE)
            states.append(json.loads(Path("/tmp/state").read_text()))
        fork, plain = states
        # What has to differ: the variable that asked for a plain start.
        plain["environ"] = plain["environ"].replace("('PYTHONHASHSEED', 'random'), ", "")
        plain["at_start"] = str(sorted(set(eval(plain["at_start"])) - {"PYTHONHASHSEED=random"}))
        fork["at_start"] = str(sorted(eval(fork["at_start"])))
        for name, value in plain.items():
            with self.subTest(name):
                self.assertEqual(fork[name], value)

    async def test_a_wide_frame_reads_the_same(self):
        told = []
        for env in ({}, PLAIN):
            await (await self.start(env)).run(WIDE)
            told.append(Path("/tmp/wide").read_text())
        self.assertEqual(*told)
        self.assertIn("column 8 ", told[0])

    async def test_a_figure_is_shown_also_after_ioff(self):
        client = await self.start()
        await client.run(UNSHOWN)
        self.assertIn("display_data", [message.kind for message in client.said])


class Attacked(ForkTest):
    async def test_signals_to_the_fork_that_waits_do_not_meet_the_kernel_that_it_becomes(self):
        await self.start()
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGUSR1, signal.SIGRTMIN):
            os.kill(await self.waiting(), number)
        client = await self.start()
        self.assertIn("kernelbox.kernels.template", command_of(client.process.pid))
        await client.run("1")

    async def test_a_stopped_fork_that_waits_is_woken(self):
        await self.start()
        waiting = await self.waiting()
        os.kill(waiting, signal.SIGSTOP)
        client = await self.start()
        self.assertEqual(client.process.pid, waiting)

    async def test_a_stopped_fork_that_waits_goes_with_its_template(self):
        await self.start()
        waiting = await self.waiting()
        os.kill(waiting, signal.SIGSTOP)
        os.kill(self.template._pid, signal.SIGKILL)
        for _ in range(100):
            await asyncio.sleep(0.02)
            if not os.path.exists(f"/proc/{waiting}"):
                return
        self.fail("it is still there")

    async def test_an_order_that_is_given_up_as_its_answer_comes_leaves_no_kernel(self):
        await self.start()
        before = self.kernels()
        take = self.template._take

        def take_and_give_up(message):
            take(message)
            order.cancel()

        self.template._take = take_and_give_up
        order = asyncio.ensure_future(self.launcher.start("python", "/home/user", {}))
        with self.assertRaises(asyncio.CancelledError):
            await order
        await asyncio.sleep(0.3)
        self.assertEqual(self.kernels(), before)

    async def test_an_answer_that_was_not_read_when_the_template_ended_counts(self):
        await self.start()
        waiting = await self.waiting()
        order = asyncio.ensure_future(self.start())
        for _ in range(3):
            await asyncio.sleep(0)
        # The loop stands still meanwhile.
        time.sleep(0.5)
        os.kill(self.template._pid, signal.SIGKILL)
        self.template._ended(self.template._socket)
        client = await order
        self.assertEqual(client.process.pid, waiting)
        await client.run("1")
