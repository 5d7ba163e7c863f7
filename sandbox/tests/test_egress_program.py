import json
import os
import subprocess
import sys
import time
import unittest

PROGRAM = [sys.executable, "-I", "-m", "kernelbox.egress"]
POLICY = {"mode": "allowlist", "hosts": ["a.test", "*.b.test"], "denied": ["192.0.2.2", "2606:4700::/32"], "listen": "127.0.0.1:3128"}


class EgressProgramTest(unittest.TestCase):
    def start(self):
        program = subprocess.Popen(PROGRAM, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(lambda: (program.kill(), program.wait(), program.stdin.close(), program.stdout.close()))
        return program

    def test_ends_where_no_policy_comes_and_says_why(self):
        begun = time.monotonic()
        late = self.start()
        for line in (b"{}\n", b"no json\n", json.dumps({**POLICY, "hosts": ["127.1"]}).encode() + b"\n", b"", b"x" * 2_000_000):
            with self.subTest(line=line[:40]):
                program = self.start()
                said, _ = program.communicate(line, 10)
                self.assertEqual(program.returncode, 2)
                self.assertEqual(json.loads(said) | {"said": ""}, {"event": "ended", "why": "policy", "said": ""})
                self.assertLess(len(said), 3_000)
        self.assertEqual(late.wait(20), 2)
        self.assertGreater(time.monotonic() - begun, 9)

    @unittest.skipUnless(os.path.exists("/opt/squid/squid"), "needs squid, which this image lacks")
    def test_squid_listens_at_once_and_complains_of_nothing(self):
        for changed in (
            {},
            {"mode": "open", "hosts": []},
            {"hosts": []},
            {"hosts": [f"h{n}.test" for n in range(500)] + [f"*.h{n}.test" for n in range(500)]},
        ):
            begun = time.monotonic()
            program = self.start()
            program.stdin.write(json.dumps({**POLICY, **changed}).encode() + b"\n")
            program.stdin.flush()
            self.assertEqual(json.loads(program.stdout.readline()), {"event": "ready"})
            self.assertLess(time.monotonic() - begun, 5)
            squid = [pid for pid in filter(str.isdigit, os.listdir("/proc")) if name_of(pid) == "squid"]
            self.assertEqual(len(squid), 1)
            program.kill()
            program.wait()
            # It outlives only a program that is not PID 1.
            os.kill(int(squid[0]), 9)
            while name_of(squid[0]) == "squid":
                time.sleep(0.02)


def name_of(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            name, state = file.read().partition("(")[2].rpartition(")")[::2]
    except OSError:
        return ""
    return "" if state.split()[0] == "Z" else name
