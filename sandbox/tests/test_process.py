import asyncio
import os
import signal
import struct
import time
import unittest
from contextlib import suppress

from kernelbox import limits
from kernelbox.errors import RequestError
from kernelbox.paths import HOME, Paths
from kernelbox.process_list import list_processes
from kernelbox.processes import Processes
from kernelbox.reaper import Reaper

_RECORD = struct.Struct("!BQI")


class Given:
    """A request's stream: what is sent to it, and what it sends."""

    def __init__(self, *pieces: bytes):
        self.pieces = list(pieces)
        self._sent = []
        self.is_held = asyncio.Event()
        self.is_held.set()

    async def receive(self):
        return self.pieces.pop(0) if self.pieces else None

    async def send(self, piece):
        await self.is_held.wait()
        self._sent.append(piece)
        await asyncio.sleep(0)

    def end_sending(self):
        pass

    @property
    def sent(self):
        return b"".join(self._sent)

    def streams(self):
        """What came on each, and whether every byte was at its offset."""
        streams = {1: bytearray(), 2: bytearray()}
        for record in self._sent:
            stream, offset, size = _RECORD.unpack_from(record)
            assert offset == len(streams[stream]), f"{offset} is not {len(streams[stream])}"
            streams[stream] += record[_RECORD.size :]
            assert size == len(record) - _RECORD.size
        return bytes(streams[1]), bytes(streams[2])


class ProcessTest(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        self.loop = asyncio.get_running_loop()
        # Their ends are ours to see, also those of orphans: here we are not PID 1.
        self.reaper = Reaper(self.loop)
        self.processes = Processes(self.loop, self.reaper, Paths())
        self.count = 0

    async def asyncTearDown(self):
        for process_id in list(self.processes._processes):
            with suppress(RequestError):
                await self.processes.kill({"process_id": process_id, "signal": "KILL"})
        self.loop.remove_signal_handler(signal.SIGCHLD)

    async def started(self, *argv, **params):
        self.count += 1
        process_id = f"prc_{self.count}"
        await self.processes.start({"process_id": process_id, "argv": list(argv), **params})
        return process_id

    async def bash(self, line, **params):
        return await self.started("bash", "-c", line, **params)

    async def followed(self, process_id, wait_s=20, **params):
        given = Given()
        facts = await self.processes.follow({"process_id": process_id, "wait_s": wait_s, "until_end": True, **params}, given)
        return facts, *given.streams()

    async def ran(self, line, **params):
        return await self.followed(await self.bash(line, **params))

    async def until_over(self, process_id):
        for _ in range(200):
            if (await self.followed(process_id, wait_s=0.05, until_end=False))[0]["is_over"]:
                return
        self.fail("it is not over")

    async def refused(self, *argv, **params):
        with self.assertRaises(RequestError) as caught:
            await self.started(*argv, **params)
        return caught.exception

    def alive(self, pids):
        return [pid for pid in pids if os.path.exists(f"/proc/{pid}")]


class Running(ProcessTest):
    async def test_tells_its_output_its_code_and_how_long_it_took(self):
        facts, out, err = await self.ran("echo out; echo err >&2; sleep 0.2; exit 3")
        self.assertEqual((out, err), (b"out\n", b"err\n"))
        self.assertEqual((facts["exit_code"], facts["signal"], facts["reason"], facts["is_running"]), (3, None, None, False))
        self.assertGreaterEqual(facts["duration_ms"], 200)
        self.assertEqual((facts["stdout_bytes"], facts["stderr_bytes"]), (4, 4))

    async def test_has_the_signals_the_folder_and_the_environment_of_a_fresh_program(self):
        code = (
            "import os, signal; print(sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])), "
            "[s.name for s in signal.valid_signals() if isinstance(s, signal.Signals) and signal.getsignal(s) == signal.SIG_IGN], "
            "os.getcwd(), os.environ['A'], os.environ.get('MPLBACKEND'), os.getsid(0) == os.getpid(), "
            "sorted(os.listdir('/proc/self/fd')), open('/proc/self/oom_score_adj').read().strip())"
        )
        folder = f"{HOME}/where"
        os.makedirs(folder, exist_ok=True)
        program = await self.started("/opt/py/bin/python", "-c", code, cwd="where", env={"A": "ü"})
        _, out, err = await self.followed(program)
        # Python itself ignores SIGPIPE and SIGXFSZ; the fourth descriptor is that of the list.
        expected = f"[] ['SIGPIPE', 'SIGXFSZ'] {folder} ü None True ['0', '1', '2', '3'] 1000\n"
        self.assertEqual((out.decode(), err), (expected, b""))

    async def test_is_refused_where_it_cannot_begin(self):
        self.assertEqual((await self.refused("no-such-program")).details, {"errno": "ENOENT", "part": "command"})
        self.assertEqual((await self.refused("/etc/passwd")).code, "permission_denied")
        self.assertEqual((await self.refused("ls", cwd="/etc")).details["part"], "cwd")
        with open(f"{HOME}/a-file", "w"):
            pass
        refusal = await self.refused("ls", cwd="a-file")
        self.assertEqual((refusal.code, refusal.details["part"]), ("invalid_argument", "cwd"))
        self.assertEqual((await self.refused("ls", cwd="nowhere")).code, "not_found")
        for argv in ([], ["a\0b"], ["\ud800"], ["x"] * (limits.ARGUMENTS + 1)):
            self.assertIn((await self.refused(*argv)).code, ("invalid_argument", "too_large"))
        for at, timeout_s in enumerate((0, -1, limits.TIMEOUT_S_MAX + 1)):
            self.assertEqual((await self.refused("ls", timeout_s=timeout_s)).code, "invalid_argument", at)
        self.assertEqual(self.processes._processes, {})

    async def test_a_hundred_megabytes_arrive_and_take_little_memory(self):
        facts, out, _ = await self.ran("head -c 100000000 /dev/zero")
        self.assertEqual((len(out), facts["stdout_bytes"]), (100_000_000, 100_000_000))
        log = self.processes._processes["prc_1"]._logs["stdout"]
        self.assertLess(len(log._kept), 4 * limits.PROCESS_SENT_BYTES)

    async def test_is_held_back_while_nobody_follows(self):
        process_id = await self.bash("head -c 10000000 /dev/zero; echo done >&2")
        await asyncio.sleep(0.5)
        process = self.processes._processes[process_id]
        self.assertLess(process._logs["stdout"].end, limits.PROCESS_UNSENT_BYTES + limits.PROCESS_OUTPUT_BYTES + 1)
        self.assertTrue(process.is_running)
        facts, out, err = await self.followed(process_id)
        self.assertEqual((len(out), err, facts["exit_code"]), (10_000_000, b"done\n", 0))

    async def test_can_be_followed_again_from_where_a_server_lost_it(self):
        process_id = await self.bash("head -c 3000000 /dev/zero | tr '\\0' x; sleep 0.1; echo end")
        _, out, _ = await self.followed(process_id)
        lost = len(out) - limits.SEND_CREDIT_BYTES
        given = Given()
        await self.processes.follow({"process_id": process_id, "stdout": lost, "wait_s": 5, "until_end": True}, given)
        _, offset, _ = _RECORD.unpack_from(given.sent, 0)
        self.assertEqual(offset, lost)

    async def test_names_the_files_that_it_wrote(self):
        facts, _, _ = await self.ran("echo x > written.txt")
        self.assertEqual([(file["path"], file["change"]) for file in facts["files"]], [(f"{HOME}/written.txt", "created")])

    async def test_asked_for_twice_is_one(self):
        params = {"process_id": "prc_x", "argv": ["bash", "-c", "echo $$ >> twice; sleep 0.2"]}
        first, again = await self.processes.start(params), await self.processes.start(params)
        self.assertEqual(first["pid"], again["pid"])

    async def test_so_many_run_and_one_more_is_refused(self):
        for _ in range(limits.PROCESSES):
            await self.started("sleep", "30")
        self.assertEqual((await self.refused("true")).code, "limit_exceeded")


class Ending(ProcessTest):
    async def test_at_its_timeout_with_all_that_it_began(self):
        facts, out, _ = await self.ran("sleep 100 & echo $!; (sleep 100 & echo $!); wait", timeout_s=0.5)
        self.assertEqual((facts["reason"], facts["is_running"]), ("timeout", False))
        await self.until_over("prc_1")
        self.assertEqual(self.alive(map(int, out.split())), [])

    async def test_that_it_ignores_is_followed_by_a_kill(self):
        process_id = await self.bash("trap '' TERM; echo $$; while :; do sleep 0.1; done")
        await asyncio.sleep(0.3)
        began = time.monotonic()
        await self.processes.kill({"process_id": process_id, "signal": "TERM", "grace_s": 0.5})
        self.assertLess(time.monotonic() - began, 3)
        facts, out, _ = await self.followed(process_id)
        self.assertEqual((facts["signal"], facts["reason"]), ("KILL", "kill_process"))
        self.assertEqual(self.alive([int(out)]), [])

    async def test_takes_a_daemon_along_that_forked_twice_and_left_its_session(self):
        daemon = (
            "import os, sys, time\n"
            "if os.fork() == 0:\n os.setsid()\n"
            " if os.fork() == 0:\n  os.environ.clear(); open('daemon', 'w').write(str(os.getpid())); time.sleep(100)\n os._exit(0)"
        )
        process_id = await self.started("/opt/py/bin/python", "-c", daemon, cwd=HOME)
        facts, _, _ = await self.followed(process_id)
        self.assertEqual(facts["exit_code"], 0)
        await asyncio.sleep(0.5)
        with open(f"{HOME}/daemon") as file:
            pid = int(file.read())
        self.assertEqual(self.alive([pid]), [pid])
        self.assertIn(pid, self.processes.members())
        await self.processes.kill({"process_id": process_id, "signal": "TERM", "grace_s": 0.5})
        self.assertEqual(self.alive([pid]), [])
        await self.until_over(process_id)

    async def test_of_a_bomb_of_forks(self):
        process_id = await self.bash("bomb() { bomb | bomb & }; bomb; sleep 100")
        await asyncio.sleep(1)
        await self.processes.kill({"process_id": process_id, "signal": "KILL"})
        self.assertEqual(self.processes.members(), {})
        self.assertEqual((await self.ran("echo well"))[1], b"well\n")

    async def test_of_what_was_stopped(self):
        process_id = await self.bash("kill -STOP $$")
        await asyncio.sleep(0.3)
        await self.processes.kill({"process_id": process_id, "signal": "TERM", "grace_s": 1})
        facts, _, _ = await self.followed(process_id)
        self.assertEqual(facts["signal"], "TERM")

    async def test_by_itself_is_told_with_the_signal(self):
        facts, _, _ = await self.ran("kill -USR1 $$")
        self.assertEqual((facts["exit_code"], facts["signal"], facts["reason"]), (None, "USR1", "signal"))

    async def test_comes_before_that_of_what_it_left_behind_which_goes_on_talking(self):
        process_id = await self.bash("(sleep 0.7; echo late) & echo soon")
        facts, out, _ = await self.followed(process_id)
        self.assertEqual((out, facts["is_running"], facts["is_over"]), (b"soon\n", False, False))
        given = Given()
        facts = await self.processes.follow({"process_id": process_id, "stdout": 5, "wait_s": 5}, given)
        self.assertEqual((given.sent[_RECORD.size :], facts["is_over"]), (b"late\n", True))

    async def test_an_endless_talker_that_was_left_behind_does_not_hold_it_back(self):
        process_id = await self.bash("yes & echo $!")
        facts, _, _ = await self.followed(process_id, wait_s=5)
        self.assertEqual((facts["exit_code"], facts["duration_ms"] < 2_000), (0, True))

    async def test_of_its_keeper_is_the_end_of_all(self):
        process_id = await self.bash("sleep 100 & echo $!; wait")
        await asyncio.sleep(0.3)
        os.kill(self.processes._processes[process_id].keeper_pid, signal.SIGKILL)
        facts, out, _ = await self.followed(process_id)
        self.assertEqual((facts["signal"], facts["is_running"]), ("KILL", False))
        await asyncio.sleep(0.2)
        self.assertEqual(self.alive([int(out)]), [])

    async def test_comes_in_time_also_where_code_stopped_the_keeper(self):
        process_id = await self.bash("sleep 0.3", timeout_s=1)
        os.kill(self.processes._processes[process_id].keeper_pid, signal.SIGSTOP)
        facts, _, _ = await self.followed(process_id, wait_s=10)
        self.assertEqual((facts["is_running"], facts["exit_code"]), (False, 0))

    async def test_other_signals_are_only_sent(self):
        process_id = await self.bash("trap 'echo got' HUP; echo ready; for i in 1 2 3 4 5 6; do sleep 0.2; done")
        await asyncio.sleep(0.4)
        await self.processes.kill({"process_id": process_id, "signal": "SIGHUP"})
        facts, out, _ = await self.followed(process_id)
        self.assertEqual((out, facts["exit_code"]), (b"ready\ngot\n", 0))
        with self.assertRaises(RequestError):
            await self.processes.kill({"process_id": process_id, "signal": "NONE"})


class Input(ProcessTest):
    async def test_arrives_and_ends(self):
        process_id = await self.started("cat", has_input=True)
        for words, close in ((b"one\n", False), (b"two\n", True)):
            facts = await self.processes.write({"process_id": process_id, "close": close}, Given(words))
            self.assertEqual((facts["written_bytes"], facts["is_whole"]), (4, True))
        facts, out, _ = await self.followed(process_id)
        self.assertEqual((out, facts["exit_code"]), (b"one\ntwo\n", 0))
        facts = await self.processes.write({"process_id": process_id}, Given(b"x"))
        self.assertEqual((facts["is_whole"], facts["has_input"]), (False, False))

    async def test_that_is_not_read_does_not_wait_for_ever(self):
        process_id = await self.started("sleep", "30", has_input=True)
        began = time.monotonic()
        facts = await self.processes.write({"process_id": process_id}, Given(bytes(1_000_000)))
        self.assertEqual((facts["is_whole"], 0 < facts["written_bytes"] < 1_000_000), (False, True))
        self.assertLess(time.monotonic() - began, limits.PROCESS_INPUT_S + 2)

    async def test_is_nothing_where_none_was_asked_for(self):
        facts, out, _ = await self.followed(await self.started("cat"))
        self.assertEqual((out, facts["exit_code"]), (b"", 0))


class Terminal(ProcessTest):
    async def test_is_one_and_can_be_resized(self):
        process_id = await self.bash(
            "tty; stty size; trap 'stty size; exit' WINCH; while :; do sleep 0.1; done", terminal={"rows": 24, "columns": 80}
        )
        await asyncio.sleep(0.5)
        await self.processes.write({"process_id": process_id, "terminal": {"rows": 50, "columns": 120}}, Given())
        facts, out, _ = await self.followed(process_id)
        lines = out.decode().split()
        self.assertRegex(lines[0], "^/dev/pts/")
        self.assertEqual((lines[1:], facts["exit_code"]), (["24", "80", "50", "120"], 0))

    async def test_keys_reach_what_runs_in_the_foreground(self):
        process_id = await self.started("bash", "--norc", "-i", terminal={"rows": 24, "columns": 80}, env={"PS1": "> "})
        for keys in (b"sleep 100\n", b"\x03", b"echo $((6 * 7))\n", b"exit\n"):
            await asyncio.sleep(0.4)
            await self.processes.write({"process_id": process_id}, Given(keys))
        facts, out, _ = await self.followed(process_id)
        self.assertIn(b"42", out)
        self.assertFalse(facts["is_running"])

    async def test_only_what_has_one_can_be_resized(self):
        process_id = await self.started("sleep", "30")
        with self.assertRaises(RequestError):
            await self.processes.write({"process_id": process_id, "terminal": {"rows": 1, "columns": 1}}, Given())


class Listing(ProcessTest):
    async def test_tells_whose_each_is(self):
        process_id = await self.bash("sleep 100 & sleep 100")
        await asyncio.sleep(0.3)
        ours = {os.getpid(), *self.processes.keepers()}
        listed = list_processes(self.processes.members(), {}, ours, 0)["processes"]
        mine = [entry for entry in listed if entry["process_id"] == process_id]
        self.assertEqual(sorted(entry["command"].split()[0] for entry in mine), ["bash", "sleep", "sleep"])
        self.assertEqual([entry for entry in listed if entry["pid"] in ours], [])
        usage = (await self.processes.get({"process_id": process_id}))["usage"]
        self.assertEqual((usage["processes"], usage["memory_bytes"] > 0), (3, True))
