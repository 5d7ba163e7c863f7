import { describe, expect, test } from "vitest";
import { defaultContainer, python, shell } from "./default-container.ts";

/** System calls that a container may and may not make, and programs that need what it may. */
describe("a docker container's system calls", () => {
  const box = defaultContainer();

  /** By number on x86_64 and aarch64, since the C library wraps few of these. */
  const callSource = (numbers: readonly [number, number], args: string) => `
import ctypes, platform
libc = ctypes.CDLL(None, use_errno=True)
at_least = ctypes.create_string_buffer(4096)
result = libc.syscall(ctypes.c_long(${numbers[0]} if platform.machine() == 'x86_64' else ${numbers[1]}), ${args})
reply(0 if result >= 0 else ctypes.get_errno())`;
  const EPERM = 1;
  const ENOSYS = 38;
  const pointer = "ctypes.c_void_p(ctypes.addressof(at_least))";
  const long = (value: number) => `ctypes.c_ulong(${value})`;
  const zeros = Array(6).fill(long(0)).join(", ");

  test.for([
    ["io_uring_setup", [425, 425], `${long(1)}, ${pointer}`],
    ["io_setup", [206, 0], `${long(1)}, ${pointer}`],
    ["keyctl", [250, 219], `${long(0)}, ctypes.c_long(-3), ${long(0)}`],
    ["add_key", [248, 217], zeros],
    ["request_key", [249, 218], zeros],
    ["bpf", [321, 280], `${long(0)}, ${pointer}, ${long(72)}`],
    ["userfaultfd", [323, 282], long(1)],
    ["perf_event_open", [298, 241], `${pointer}, ${long(0)}, ctypes.c_long(-1), ctypes.c_long(-1), ${long(0)}`],
    ["unshare user", [272, 97], long(0x10000000)],
    ["setns", [308, 268], zeros],
    ["mount", [165, 40], zeros],
    ["umount2", [166, 39], zeros],
    ["fsopen", [430, 430], zeros],
    ["open_tree", [428, 428], zeros],
    ["move_mount", [429, 429], zeros],
    ["pivot_root", [155, 41], zeros],
    ["chroot", [161, 51], zeros],
    ["ptrace", [101, 117], zeros],
    ["process_vm_readv", [310, 270], zeros],
    ["process_vm_writev", [311, 271], zeros],
    ["pidfd_getfd", [438, 438], zeros],
    ["kcmp", [312, 272], zeros],
    ["name_to_handle_at", [303, 264], zeros],
    ["open_by_handle_at", [304, 265], zeros],
    ["fanotify_init", [300, 262], zeros],
    ["kexec_load", [246, 104], zeros],
    ["init_module", [175, 105], zeros],
    ["finit_module", [313, 273], zeros],
    ["quotactl", [179, 60], zeros],
    ["mbind", [237, 235], zeros],
    ["move_pages", [279, 239], zeros],
    ["syslog", [103, 116], `${long(10)}, ${long(0)}, ${long(0)}`],
    ["personality without address randomisation", [135, 92], long(0x0040000)],
    ["socket AF_VSOCK", [41, 198], `${long(40)}, ${long(1)}, ${long(0)}`],
    ["socket AF_ALG", [41, 198], `${long(38)}, ${long(5)}, ${long(0)}`],
    ["socket AF_PACKET", [41, 198], `${long(17)}, ${long(3)}, ${long(0)}`],
    ["socket of the packet filter", [41, 198], `${long(16)}, ${long(3)}, ${long(12)}`],
    ["clone with a new user namespace", [56, 220], `${long(0x10000011)}, ${long(0)}, ${long(0)}, ${long(0)}, ${long(0)}`],
  ] as const)("%s is refused", async ([, numbers, args]) => {
    expect(await box.agent.ask(callSource(numbers, args))).toBe(EPERM);
  });

  test("clone3 does not exist, so that the C library takes clone", async () => {
    expect(await box.agent.ask(callSource([435, 435], `${pointer}, ${long(64)}`))).toBe(ENOSYS);
  });

  test.for([
    ["openat2", [437, 437], "ctypes.c_long(-100), ctypes.c_char_p(b'/'), ctypes.c_char_p(bytes(24)), ctypes.c_ulong(24)"],
    ["memfd_create", [319, 279], "ctypes.c_char_p(b'x'), ctypes.c_ulong(0)"],
    ["pidfd_open", [434, 434], `${long(1)}, ${long(0)}`],
    ["close_range", [436, 436], `${long(1000)}, ${long(1001)}, ${long(0)}`],
    ["getrandom", [318, 278], `${pointer}, ${long(8)}, ${long(0)}`],
    ["personality query", [135, 92], long(0xffffffff)],
    ["socket of the routing table", [41, 198], `${long(16)}, ${long(3)}, ${long(0)}`],
    ["inotify_init1", [294, 26], long(0)],
  ] as const)("%s works", async ([, numbers, args]) => {
    expect(await box.agent.ask(callSource(numbers, args))).toBe(0);
  });

  test("a 32-bit system call ends its process", async () => {
    const source = `
import ctypes, mmap, platform
if platform.machine() != 'x86_64': reply(True)
else:
    pid = os.fork()
    if pid == 0:
        # mov eax, 20 (getpid); int 0x80; ret
        code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        code.write(b'\\xb8\\x14\\x00\\x00\\x00\\xcd\\x80\\xc3')
        ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))()
        os._exit(0)
    reply(os.WIFSIGNALED(os.waitpid(pid, 0)[1]))`;
    expect(await box.agent.ask(source)).toBe(true);
  });

  test.for([
    ["bash with pipes and jobs", shell("echo a b | tr a-z A-Z & wait"), "A B\n"],
    ["ripgrep", shell("printf 'x\\nneedle\\n' > hay && rg -N needle hay"), "needle\n"],
    ["numpy on several threads", python("import numpy as n; a = n.ones((900, 900)); print(int((a @ a)[0, 0]))"), "900\n"],
    [
      "multiprocessing",
      python(
        'import multiprocessing as m\nif __name__ == "__main__":\n  with m.get_context("fork").Pool(3) as p: print(sum(p.map(abs, range(-9, 1))), m.Lock().acquire())',
      ),
      "45 True\n",
    ],
    [
      "asyncio with subprocesses",
      python(
        'import asyncio as a\nasync def f():\n  p = await a.create_subprocess_exec("/bin/echo", "hi", stdout=-1)\n  return (await p.communicate())[0]\nprint(a.run(f()))',
      ),
      "b'hi\\n'\n",
    ],
    [
      "shared memory",
      python(
        "from multiprocessing.shared_memory import SharedMemory as S; s = S(create=True, size=9); s.buf[0] = 7; print(s.buf[0]); s.close(); s.unlink()",
      ),
      "7\n",
    ],
    [
      "threads",
      python(
        "import threading as t; x = []; y = [t.Thread(target=x.append, args=(1,)) for _ in range(50)]; [z.start() for z in y]; [z.join() for z in y]; print(len(x))",
      ),
      "50\n",
    ],
    [
      "sqlite",
      python(
        'import sqlite3 as s; c = s.connect("x.db"); c.execute("pragma journal_mode=wal"); c.execute("create table t(a)"); print(c.execute("select count(*) from t").fetchone()[0])',
      ),
      "0\n",
    ],
    [
      "pandas and a plot",
      python(
        'import os; os.environ["MPLCONFIGDIR"] = "/tmp"; import pandas as p, matplotlib; matplotlib.use("agg"); p.Series([1, 2]).plot().figure.savefig("x.png"); print(os.path.getsize("x.png") > 999)',
      ),
      "True\n",
    ],
  ] as const)("%s works", { timeout: 60_000 }, async ([, source, output]) => {
    expect(await box.agent.ask(source)).toEqual([0, output, ""]);
  });
});
