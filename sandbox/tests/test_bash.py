"""The Bash kernel, driven for real."""

import os
import signal
import threading
import time
import unittest

from kernelbox.kernels.bash_shell import BashShell

from .bash_driver import Bash, BashCase, Run


class State(BashCase):
    def test_keeps_what_a_shell_keeps(self) -> None:
        self.bash.run("cd /usr; x='a  b'; declare -A m=([k]=v); f() { echo \"f $1\"; }; export E=exported; shopt -s nullglob; alias hi='echo alias'")
        self.says('pwd; echo "$x ${m[k]}"; f 1; printenv E; shopt -q nullglob && echo on; hi', "/usr\na  b v\nf 1\nexported\non\nalias\n")
        self.bash.run("cd /; shopt -u nullglob")

    def test_keeps_the_last_status_and_pipestatus(self) -> None:
        self.bash.run("(exit 3)")
        self.says('echo "$? ${PIPESTATUS[*]}"', "3 3\n")
        self.says('echo "$? ${PIPESTATUS[*]}"', "0 0\n")
        self.bash.run("false | (exit 4) | true")
        self.says('echo "$? ${PIPESTATUS[*]}"', "0 1 4 0\n")
        self.bash.run("false | (exit 5)")
        self.says('echo "$? ${PIPESTATUS[*]}"', "5 1 5\n")


class Cells(BashCase):
    def test_takes_code_as_it_is(self) -> None:
        self.says("cat <<E\n  two $((1 + 1))\nE\nfor i in a b; do\n  echo $i\ndone # the end", "  two 2\na\nb\n")
        self.says("echo 'ä€😀 !x $y'", "ä€😀 !x $y\n")
        self.says("echo $0 $LINENO\necho $LINENO", "bash 1\n2\n")
        self.says("", "")
        self.says("# nothing", "")
        self.says("return 0; echo not", "")

    def test_tells_status_and_how_the_kernel_speaks(self) -> None:
        run = self.bash.run("echo before; (exit 3)")
        self.assertEqual((run.stdout, run.error), ("before\n", {"ename": "ExitStatus", "evalue": "3", "traceback": []}))
        self.assertEqual(run.reply["status"], "error")
        first = run.reply["execution_count"]
        self.assertEqual(run.kinds[:2] + run.kinds[-1:], ["status", "execute_input", "status"])
        run = self.bash.run("true")
        self.assertEqual((run.reply["status"], run.reply["execution_count"]), ("ok", first + 1))

    def test_lives_on_after_errors_of_the_shell(self) -> None:
        self.bash.run("kept=1")
        for code, status, says in (
            ("echo 'never ended", "2", "unexpected EOF"),
            ("if true; then", "2", "syntax error"),
            ("echo ${nothing:?is missing}; echo not", "1", "is missing"),
            ("set -u; echo $nothing; echo not", "1", "unbound"),
            ("set +u; nosuchcommand", "127", "not found"),
            ("readonly r=1; r=2; echo not", "1", "readonly"),
        ):
            with self.subTest(code):
                run = self.bash.run(code)
                self.assertEqual((run.error or {}).get("evalue"), status, run)
                self.assertIn(says, run.stderr)
                self.assertEqual(run.stdout, "")
        self.says("set +u; echo $kept", "1\n")
        self.says("PROMPT_COMMAND=true; echo ${kept}", "1\n")
        self.says("cat <<E\nunterminated", "unterminated\n")

    def test_runs_a_large_cell(self) -> None:
        lines = "\n".join(f"v{i % 10}={'x' * 90}" for i in range(11_000))
        self.assertGreater(len(lines), 1_000_000)
        self.says(f"{lines}\necho ${{#v9}}", "90\n")

    def test_does_not_trip_over_options(self) -> None:
        for setting, back in (
            ("set -eu", "set +eu"),
            ("set -f; IFS=0123456789", "set +f; IFS=$' \\t\\n'"),
            ("set -C", "set +C"),
            ("set -o posix", "set +o posix"),
        ):
            with self.subTest(setting):
                self.assertIsNone(self.bash.run(setting).error)
                self.says("echo on", "on\n")
                self.says('echo "$?"', "0\n", env={"A_B": "c"})
                self.assertIsNone(self.bash.run(back).error)
        self.bash.run("set -x")
        run = self.says("echo traced", "traced\n")
        self.assertIn("+ echo traced\n", run.stderr)
        self.assertNotIn("__kernelbox", run.stderr)
        self.bash.run("set +x; PROMPT_COMMAND='echo prompt'; PS1='$ '")
        run = self.says("echo on", "on\n")
        self.assertEqual(run.stderr, "")


class Output(BashCase):
    def test_keeps_stdout_and_stderr_apart_and_whole(self) -> None:
        for _ in range(30):
            run = self.bash.run("seq 20000; seq 20000 >&2; echo end; echo fin >&2")
            self.assertEqual(len(run.stdout), 108894 + 4)
            self.assertEqual(len(run.stderr), 108894 + 4)

    def test_streams_while_it_runs(self) -> None:
        began = time.monotonic()
        run = self.bash.run("for i in 1 2 3; do echo $i; sleep 0.5; done")
        self.assertLess(run.first_text_at - began, 0.45)
        self.assertEqual(run.stdout, "1\n2\n3\n")

    def test_decodes_characters_that_come_in_pieces(self) -> None:
        self.says("printf '\\xe2\\x82'; sleep 0.3; printf '\\xac\\xff'", "€\ufffd")

    def test_lets_much_through_in_little_memory(self) -> None:
        message_id = self.bash.send("yes 0123456789 | head -c 100000000")
        time.sleep(2)
        with open(f"/proc/{self.bash.pid}/status") as file:
            resident = next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))
        self.assertLess(resident, 200_000)
        run = self.bash.take(message_id, 60)
        self.assertEqual(len(run.stdout), 100_000_000)

    def test_is_not_held_by_what_goes_on_behind(self) -> None:
        # It floods until it is killed, so whatever ends ends before it; two busy cores take their time to do so.
        run = self.bash.run("yes & sleep 0.2; echo done >&2", timeout=60)
        self.assertEqual(run.stderr, "done\n")
        run = self.bash.run("kill $!; echo killed >&2", timeout=60)
        self.assertEqual(run.stderr, "killed\n")

    def test_sends_late_output_with_the_last_cell(self) -> None:
        message_id = self.bash.send("(sleep 0.3; echo late) & echo now")
        self.assertEqual(self.bash.take(message_id).stdout, "now\n")
        self.says("sleep 0.6", "late\n")


class Input(BashCase):
    def test_is_refused_at_once(self) -> None:
        run = self.bash.run("read -r x; echo $?", timeout=3)
        self.assertEqual(run.stdout, "1\n")
        self.assertIn("no input can be given", run.stderr)
        run = self.bash.run("select x in a b; do echo $x; done", timeout=3)
        self.assertIn("no input can be given", run.stderr)
        self.says("cat; python -c 'input()' 2>&1 | tail -1", "EOFError: EOF when reading a line\n", timeout=5)

    def test_of_its_own_stays_whole(self) -> None:
        run = self.bash.run(
            "printf 'a\\nb\\n' | while read -r l; do echo \"<$l>\"; done\n"
            "read -r x y <<< '1 2 3'; echo $x,$y\n"
            "while IFS=: read -r n _; do echo $n; break; done < /etc/passwd\n"
            "exec 5< <(echo five); read -u 5 f; echo $f; read -ru5 f; echo $?; exec 5<&-\n"
            "read -ra words <<< 'p q r'; echo ${words[2]}\n"
            "f() { local v; read -r v < <(echo in); echo $v; }; f\n"
        )
        self.assertEqual(run.stdout, "<a>\n<b>\n1,2 3\nroot\nfive\n1\nr\nin\n")
        self.assertEqual(run.stderr, "")


class Environment(BashCase):
    def test_is_for_one_execution(self) -> None:
        self.bash.run("export KEPT=old; plain=p; unset -v GONE")
        odd = "a'b\"c $(touch /tmp/no) `x` \\ \n ä"
        env = {"KEPT": "new", "plain": "q", "GONE": odd}
        self.says("printenv KEPT; printenv plain; printenv GONE", f"new\nq\n{odd}\n", env=env)
        self.says('echo "$KEPT $plain ${GONE-unset}"; printenv KEPT; printenv plain || echo not exported', "old p unset\nold\nnot exported\n")
        self.assertFalse(os.path.exists("/tmp/no"))

    def test_goes_also_after_an_error_and_an_interrupt(self) -> None:
        self.bash.run("echo ${nothing:?}", env={"ONCE": "1"})
        self.says("echo ${ONCE-unset}", "unset\n")
        message_id = self.bash.send("sleep 10", env={"ONCE": "1"})
        time.sleep(0.3)
        os.kill(self.bash.pid, signal.SIGINT)
        self.bash.take(message_id, 5)
        self.says("echo ${ONCE-unset}", "unset\n")

    def test_takes_names_only(self) -> None:
        self.says("echo ${x-unset}", "unset\n", env={"x y": "1", "a[$(touch /tmp/no)]": "1", "": "1", "é": "1"})
        self.assertFalse(os.path.exists("/tmp/no"))

    def test_may_be_large(self) -> None:
        self.says("echo ${#BIG}; unset BIG", "120000\n", env={"BIG": "x" * 120_000})


class Interrupt(BashCase):
    def test_stops_the_foreground_and_keeps_the_shell(self) -> None:
        self.bash.run("kept=1")
        for code in (
            "sleep 30",
            "while :; do :; done",
            "while :; do sleep 0.01; done",
            "for i in $(seq 1000); do sleep 1; done; echo not",
            "sleep 30 | cat | cat",
            "python -c 'import time; time.sleep(30)'",
            "x=$(sleep 30); echo not",
            "f() { sleep 30; }; f; echo not",
            "wait < <(sleep 30); sleep 20 & wait",
        ):
            with self.subTest(code):
                run, took = self.bash.interrupted(code)
                # Twice, for a machine that is busy.
                self.assertLess(min(took, self.bash.interrupted(code)[1]), 0.2)
                self.assertEqual((run.error or {}).get("evalue"), "130", run)
                self.assertNotIn("not\n", run.stdout)
                self.says("echo $kept", "1\n")

    def test_ends_a_loop_of_short_commands_whichever_of_them_it_meets(self) -> None:
        """The shell takes an interrupt that comes just as its child ends by itself for one that the child has dealt with."""
        loops = ("while :; do sleep 0.01; done", "while :; do /bin/true; done", "while :; do (exit 0); done", "while :; do true | cat; done")
        for n in range(40):
            run, took = self.bash.interrupted(loops[n % 4], after=0.05 + 0.0007 * n)
            self.assertEqual(((run.error or {}).get("evalue"), took < 2.5), ("130", True), loops[n % 4])

    def test_at_any_moment(self) -> None:
        """Also between two cells, and while the shell reads or reports: each cell afterwards is whole."""
        for i in range(100):
            message_id = self.bash.send(f"echo {i}")
            time.sleep(i * 0.00005)
            os.kill(self.bash.pid, signal.SIGINT)
            run = self.bash.take(message_id, 5)
            self.assertNotIn("not found", run.stderr)
            self.says(f"echo after {i}", f"after {i}\n", timeout=5)

    def test_is_not_lost_when_code_has_just_begun(self) -> None:
        iopub = self.bash.client.iopub_channel
        for _ in range(30):
            message_id = self.bash.send("sleep 5")
            while iopub.get_msg(timeout=5)["msg_type"] != "execute_input":
                pass
            os.kill(self.bash.pid, signal.SIGINT)
            self.assertEqual((self.bash.take(message_id, 2).error or {}).get("evalue"), "130")

    def test_leaves_background_commands(self) -> None:
        self.bash.run("sleep 60 & behind=$!")
        self.bash.interrupted("sleep 30")
        self.says("kill -0 $behind && echo lives; kill $behind", "lives\n")


class Race(unittest.TestCase):
    def test_an_interrupt_in_any_microsecond_of_a_cell_gives_no_other_a_wrong_status(self) -> None:
        child = os.fork()
        if child == 0:
            for number in (1, 2):
                os.dup2(os.open("/dev/null", os.O_WRONLY), number)
            os._exit(_race(600))
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 0)


def _race(cells: int) -> int:
    """1 where a cell gave another's status. A shell that ends says so: once in some thousand times bash does not survive a moment of these."""
    signal.signal(signal.SIGINT, lambda *_: shell.interrupt())
    shell = BashShell()

    def interrupt(after: float) -> None:
        until = time.perf_counter() + after
        while time.perf_counter() < until:
            pass
        os.kill(os.getpid(), signal.SIGINT)

    for n in range(cells):
        # A process that hangs ends so.
        signal.alarm(10)
        shell.expect()
        thread = threading.Thread(target=interrupt, args=(0.0006 * n / cells,))
        thread.start()
        first = shell.run("true", {})
        thread.join()
        shell.expect()
        second = shell.run("(exit 42)", {}) if first is not None else None
        if first not in (0, 130, None) or second not in (42, None):
            return 1
        if second is None:
            shell.end()
            shell = BashShell()
    shell.end()
    return 0


class End(unittest.TestCase):
    def ended(self, code: str, env: dict[str, str] | None = None) -> tuple[Run, int]:
        bash = Bash()
        try:
            run = bash.run(code, env, timeout=10)
            return run, bash.manager.provisioner.process.wait(5)
        finally:
            bash.close()

    def test_of_the_shell_is_told_and_is_the_kernels(self) -> None:
        for code, value, exit_code in (
            ("echo last; echo words >&2; exit 7", "7", 7),
            ("set -e; echo last; echo words >&2; false; echo not", "1", 1),
            ("echo last; echo words >&2; exec true", "0", 0),
            ("echo last; echo words >&2; kill -9 $$", "137", -9),
            ("echo last; echo words >&2; kill -SEGV $$", "139", -11),
            ("sleep 100 & echo last; echo words >&2; exit 3", "3", 3),
        ):
            with self.subTest(code):
                run, ended = self.ended(code)
                self.assertEqual((run.stdout, run.stderr), ("last\n", "words\n"))
                self.assertEqual(run.error, {"ename": "ShellExited", "evalue": value, "traceback": []})
                self.assertEqual(run.reply, {})
                self.assertEqual(ended, exit_code)

    def test_between_two_cells_ends_the_kernel(self) -> None:
        bash = Bash()
        try:
            bash.run("(sleep 0.3; kill -9 $$) &")
            self.assertEqual(bash.manager.provisioner.process.wait(5), -9)
        finally:
            bash.close()


if __name__ == "__main__":
    unittest.main()
