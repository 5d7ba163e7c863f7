"""What a context tells of code that does not simply run: with real kernels, and without a server."""

import asyncio
import json
import os
import re
import time
import unittest

import zmq

from kernelbox import limits
from kernelbox.context import Context
from kernelbox.errors import RequestError
from kernelbox.event_log import EventLog
from kernelbox.execution import Execution
from kernelbox.inspection import inspect
from kernelbox.kernel import Kernel
from kernelbox.launcher import Launcher
from kernelbox.paths import Paths
from kernelbox.reaper import Reaper

# Makes the kernel answer a request of that kind with the bytes that an expression gives.
HOSTILE = """
kernel = get_ipython().kernel
async def answer(stream, ident, parent):
    session = kernel.session
    parts = session.serialize(session.msg({kind!r} + "_reply", {{}}, parent=parent), ident)
    at = parts.index(b"<IDS|MSG>")
    body = [*parts[at + 2 : at + 5], {content}]
    stream.send_multipart([*parts[: at + 1], session.sign(body), *body])
kernel.shell_handlers[{kind!r} + "_request"] = answer
"""


class ContextTest(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        os.makedirs("/home/user", exist_ok=True)
        self.loop = asyncio.get_running_loop()
        self.launcher = Launcher(self.loop, Reaper(self.loop))
        self.context = await self.make()
        self.count = 0

    async def asyncTearDown(self):
        self.context.delete()
        self.launcher._template._starts = [self.loop.time()] * limits.TEMPLATE_STARTS
        self.launcher._template._give_up()
        await asyncio.sleep(0.1)

    async def make(self, language="python"):
        options = {"cwd": "/home/user", "env": {}, "name": None, "start_timeout_s": 60.0}
        context = Context("ctx", language=language, loop=self.loop, launcher=self.launcher, **options)
        self.addCleanup(context.delete)
        await context.start()
        return context

    def submit(self, code, timeout_s=30.0, env=None, context=None):
        self.count += 1
        events = []

        def take(message, _hold):
            size = int.from_bytes(message[:4], "big")
            events.append(json.loads(message[4 : 4 + size]))
            log.acknowledge(events[-1]["seq"])

        log = EventLog(f"e{self.count}", "ctx", take)
        execution = Execution(f"e{self.count}", "ctx", code, timeout_s, env or {}, log)
        (context or self.context).submit(execution)
        return execution, events

    async def run_code(self, code, timeout_s=30.0, env=None, context=None):
        """State, text of the streams, and the errors."""
        execution, events = self.submit(code, timeout_s, env, context)
        while not execution.is_ended:
            await asyncio.sleep(0.01)
        text = "".join(event["data"]["text"] for event in events if event["type"] == "stream")
        return execution.state, text, [event["data"] for event in events if event["type"] == "error"]

    async def test_a_kernel_that_answers_is_not_ready_until_its_output_is_heard(self):
        process = await self.launcher.start("python", "/home/user", {})
        said = []
        kernel = Kernel(self.loop, process, on_output=said.append, on_reply=lambda _: None, on_end=lambda _: None)
        self.addCleanup(kernel.abandon)
        output = kernel._client._iopub
        output.disconnect(process.connection.address("iopub"))
        ready = asyncio.ensure_future(kernel.ready(30))
        await asyncio.sleep(1)
        self.assertTrue(kernel._info_replied)
        self.assertFalse(ready.done())
        output.connect(process.connection.address("iopub"))
        await ready
        kernel.execute("print('first')", {})
        await asyncio.sleep(0.5)
        self.assertIn("first\n", [message.content.get("text") for message in said])

    async def test_an_idle_that_answers_something_else_does_not_end_what_runs(self):
        execution, events = self.submit("import time\ntime.sleep(0.8)\nprint('end')")
        await asyncio.sleep(0.2)
        client = self.context._kernel._client
        control = client._socket(zmq.DEALER, client._control_address)
        client._send(control, "kernel_info_request", {}, {})
        for _ in range(50):
            await asyncio.sleep(0.01)
            if control.poll(0):
                break
        self.assertEqual(control.recv_multipart()[-1][:1], b"{")
        control.close()
        await asyncio.sleep(0.1)
        self.assertFalse(execution.is_idle or execution.is_ended)
        while not execution.is_ended:
            await asyncio.sleep(0.01)
        self.assertIn("end\n", [event["data"].get("text") for event in events])

    async def test_what_is_stopped_while_it_prints_says_nothing_into_the_next(self):
        for _ in range(3):
            state, text, _ = await self.run_code("while True: print('a' * 1000)", timeout_s=0.3)
            self.assertEqual((state, set(text)), ("timeout", {"a", "\n"}))
            self.assertEqual(await self.run_code("print('b')"), ("ok", "b\n", []))

    async def test_an_interrupt_leaves_what_runs_in_the_background(self):
        start = "import subprocess, time\nchild = subprocess.Popen(['sleep', '1000'])\ntime.sleep(100)"
        self.assertEqual((await self.run_code(start, timeout_s=0.5))[0], "timeout")
        self.assertEqual(await self.run_code("print(child.poll())\nchild.kill()"), ("ok", "None\n", []))

    async def test_a_debugger_finds_nobody_to_ask(self):
        for code in ("breakpoint()", "import pdb\npdb.set_trace()\nx = 1"):
            started = time.monotonic()
            state, _, errors = await self.run_code(code, timeout_s=10.0)
            self.assertEqual(state, "error", code)
            self.assertIn("no stdin", errors[0]["value"])
            self.assertLess(time.monotonic() - started, 5)

    async def test_a_thousand_orphans_leave_no_zombie(self):
        code = "import subprocess\nsubprocess.run(['sh', '-c', 'for at in $(seq 1000); do (true &); done'], check=True)"
        self.assertEqual((await self.run_code(code))[0], "ok")
        for _ in range(100):
            await asyncio.sleep(0.02)
            if not any(self.is_zombie(name) for name in os.listdir("/proc") if name.isdigit()):
                return
        self.fail("there are zombies")

    def is_zombie(self, pid):
        try:
            with open(f"/proc/{pid}/stat") as file:
                return file.read().rpartition(")")[2].split()[0] == "Z"
        except OSError:
            return False

    async def test_variables_of_one_run_arrive_as_they_are_and_move_no_line(self):
        value = "a'b\"c\nd\\e$(touch /tmp/x)`;{}\t\u20ac"
        look = "import os, json\nprint(json.dumps(os.environ['KB']))\nraise ValueError"
        state, text, errors = await self.run_code(look, env={"KB": value})
        self.assertEqual((state, json.loads(text)), ("error", value))
        self.assertIn("line 3", re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(errors[0]["traceback"])))

    async def look(self, content, kind="complete"):
        self.assertEqual((await self.run_code(HOSTILE.format(kind=kind, content=content)))[0], "ok")
        asked = {"complete": {"code": "a"}} if kind == "complete" else {"include": ["variables"]}
        return await inspect(self.context, asked, Paths())

    async def test_an_answer_that_is_nearly_as_large_as_a_message_may_be_is_cut_and_costs_little_memory(self):
        before = self.memory()
        answer = await self.look("""b'{"status": "ok", "matches": ["' + '\U0001f600'.encode() * 14_500_000 + b'"]}'""")
        self.assertLessEqual(len(answer["complete"]["matches"][0]), 200)
        # The message, and it as text.
        self.assertLess(self.memory() - before, 200 * 2**20)

    def memory(self):
        """The most that this process has had since it was last asked."""
        with open("/proc/self/status") as file:
            peak = next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM"))
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
        return peak

    async def test_an_answer_larger_than_a_message_may_be_costs_itself_only(self):
        with self.assertRaises(RequestError) as refused:
            await self.look("""b'{"status": "ok", "x": "' + b'a' * 70_000_000 + b'"}'""")
        self.assertEqual(refused.exception.code, "unsupported")
        self.assertEqual((await self.look("""b'{"status": "ok", "matches": ["abc"]}'"""))["complete"]["matches"], ["abc"])

    async def test_variables_that_are_none_are_not_told(self):
        entry = """{"name": [[[1]]], "type": {"a": 1}, "shape": [1, -1, true], "size_bytes": -3, "preview": 7}"""
        answer = await self.look(f"""b'{{"status": "ok", "variables": [1, null, {entry}], "left_out": 1e400}}'""", "kernelbox_variables")
        told = {"name": "", "type": "", "shape": None, "size_bytes": None, "preview": None}
        self.assertEqual(answer["variables"], {"variables": [told], "left_out": 0})
