import { randomBytes } from "node:crypto";
import type Docker from "dockerode";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ContainerSpec } from "../../src/engines/engine.ts";
import { LIMITS } from "../../src/limits.ts";
import { dockerClient, dockerEngine, sandboxImage } from "../helpers/docker.ts";
import { AGENT_COMMAND, Agent } from "./agent.ts";

/** Each of a container's defaults, seen from the inside and as the engine has written it down. */
describe("a docker container's defaults", () => {
  const engine = dockerEngine({ command: AGENT_COMMAND });
  let spec: ContainerSpec;
  let agent: Agent;
  let containerId = "";
  let inspected: Docker.ContainerInspectInfo;

  beforeAll(async () => {
    spec = {
      name: "kernelbox-defaults",
      image: await sandboxImage(),
      labels: { "kernelbox.owner": `defaults-${randomBytes(6).toString("hex")}` },
      memoryBytes: LIMITS.container.memoryBytes,
      workspaceBytes: LIMITS.container.workspaceBytes,
      cpus: LIMITS.container.cpus,
      pids: LIMITS.container.pids,
    };
    const started = await engine.create(spec);
    containerId = started.containerId;
    agent = new Agent(started.stream);
    await agent.line();
    inspected = await (await dockerClient()).getContainer(containerId).inspect();
  });

  afterAll(async () => {
    await engine.destroy(containerId);
  });

  const status = async () => {
    const text = await agent.ask<string>("reply(open('/proc/self/status').read())");
    return Object.fromEntries(text.split("\n").map((line) => line.split(/:\s*/, 2))) as Record<string, string>;
  };

  test("the engine has written down what was asked for, and nothing more", () => {
    const { Config, HostConfig, Mounts, NetworkSettings } = inspected;
    expect(HostConfig).toMatchObject({
      AutoRemove: true,
      CapDrop: ["ALL"],
      Init: false,
      IpcMode: "private",
      LogConfig: { Type: "none" },
      Memory: spec.memoryBytes,
      MemorySwap: spec.memoryBytes,
      NetworkMode: "none",
      OomKillDisable: false,
      PidMode: "",
      PidsLimit: spec.pids,
      Privileged: false,
      PublishAllPorts: false,
      ReadonlyRootfs: true,
      RestartPolicy: { Name: "no" },
      ShmSize: LIMITS.container.shmBytes,
      UTSMode: "",
      UsernsMode: "",
    });
    // Engines differ in whether nothing is null or empty.
    const { Binds, CapAdd, DeviceRequests, DeviceCgroupRules, Devices, GroupAdd, PortBindings, VolumesFrom, ExtraHosts } = HostConfig;
    for (const extra of [Binds, CapAdd, DeviceRequests, DeviceCgroupRules, Devices, GroupAdd, PortBindings, VolumesFrom, ExtraHosts]) {
      expect(Object.keys(extra ?? {})).toEqual([]);
    }
    expect(HostConfig.NanoCpus).toBeLessThanOrEqual(spec.cpus * 1e9);
    expect(HostConfig.NanoCpus).toBeGreaterThan(0);
    expect(HostConfig.SecurityOpt).toEqual([
      "no-new-privileges:true",
      expect.stringMatching(/^seccomp=\{"defaultAction":"SCMP_ACT_ERRNO"/),
    ]);
    expect(HostConfig.MaskedPaths).toEqual(expect.arrayContaining(["/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"]));
    expect(HostConfig.ReadonlyPaths).toEqual(expect.arrayContaining(["/proc/sys", "/proc/sysrq-trigger"]));
    expect(Object.keys(HostConfig.Tmpfs ?? {})).toEqual(["/home/user", "/tmp"]);
    expect(Config).toMatchObject({
      User: "1000:1000",
      WorkingDir: "/",
      Tty: false,
      OpenStdin: true,
      StdinOnce: false,
      Labels: spec.labels,
    });
    expect(Mounts).toEqual([]);
    expect(Object.keys(NetworkSettings.Networks)).toEqual(["none"]);
  });

  test("no capabilities, filtered system calls, no new privileges", async () => {
    const fields = await status();
    for (const set of ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"]) expect(fields[set], set).toMatch(/^0+$/);
    expect(fields).toMatchObject({ Seccomp: "2", NoNewPrivs: "1" });
  });

  test("PID 1 is the command itself, as uid 1000 with a name, in / with HOME on the workspace", async () => {
    const seen = await agent.ask(
      "import pwd\nu = pwd.getpwuid(os.getuid())\nreply([os.getpid(), os.getuid(), os.getgid(), os.getgroups(), u.pw_name, u.pw_dir, os.getcwd()])",
    );
    expect(seen).toEqual([1, 1000, 1000, [1000], "user", "/home/user", "/"]);
    expect(await agent.ask("reply(os.path.realpath('/mnt/data'))")).toBe("/home/user");
  });

  test("the only network is loopback", async () => {
    expect(await agent.ask("reply(sorted(os.listdir('/sys/class/net')))")).toEqual(["lo"]);
    const connect = "import socket\ns = socket.socket(); s.settimeout(3)\nreply(s.connect_ex(('1.1.1.1', 53)))";
    expect(await agent.ask(connect)).toBe(101);
    expect(
      await agent.ask("import socket\ntry: socket.getaddrinfo('debian.org', 80); reply('resolved')\nexcept OSError: reply('no')"),
    ).toBe("no");
    const loopback =
      "import socket\na = socket.create_server(('127.0.0.1', 0)); b = socket.create_connection(a.getsockname()); reply('connected')";
    expect(await agent.ask(loopback)).toBe("connected");
  });

  test("the root, and everything but the workspace, /tmp and /dev, is read-only", async () => {
    const errno = (path: string) => `try: open('${path}', 'w'); reply(0)\nexcept OSError as e: reply(e.errno)`;
    const EROFS = 30;
    expect(await agent.ask(errno("/x"))).toBeOneOf([EROFS, 13]);
    expect(await agent.ask("reply(bool(os.statvfs('/').f_flag & os.ST_RDONLY))")).toBe(true);
    expect(await agent.ask(errno("/etc/passwd"))).toBeOneOf([EROFS, 13]);
    const writable = `
found = []
for top, folders, files in os.walk('/'):
    if top.startswith('/proc'): folders[:] = []; continue
    if os.access(top, os.W_OK): found.append(top)
reply(sorted(found))`;
    expect(await agent.ask(writable)).toEqual(["/dev/mqueue", "/dev/shm", "/home/user", "/tmp"]);
  });

  test("the workspace and /tmp are bounded in bytes and inodes, runnable, without setuid and devices", async () => {
    const look = (path: string) =>
      `s = os.statvfs('${path}'); m = os.stat('${path}')\nreply([s.f_blocks * s.f_frsize, s.f_files, oct(m.st_mode & 0o7777), m.st_uid, m.st_gid])`;
    expect(await agent.ask(look("/home/user"))).toEqual([spec.workspaceBytes, LIMITS.container.workspaceInodes, "0o700", 1000, 1000]);
    expect(await agent.ask(look("/tmp"))).toEqual([LIMITS.container.tmpBytes, LIMITS.container.tmpInodes, "0o1777", 1000, 1000]);
    const mounts = await agent.ask<string>("reply(open('/proc/self/mounts').read())");
    for (const path of ["/home/user", "/tmp"]) {
      const options = mounts
        .split("\n")
        .find((line) => line.split(" ")[1] === path)
        ?.split(" ")[3]
        ?.split(",");
      expect(options).toEqual(expect.arrayContaining(["rw", "nosuid", "nodev"]));
      expect(options).not.toContain("noexec");
    }
    const run =
      "p = '/home/user/run'; open(p, 'w').write('#!/bin/sh\\necho ran'); os.chmod(p, 0o755)\nimport subprocess\nreply(subprocess.check_output([p], text=True))";
    expect(await agent.ask(run)).toBe("ran\n");
  });

  test("a full workspace is an error to its writer, not an end of the container", async () => {
    const fill = `
import errno
try:
    with open('/home/user/big', 'wb') as f:
        while True: f.write(bytes(1 << 20))
except OSError as e: reply([errno.errorcode[e.errno], os.path.getsize('/home/user/big') <= ${LIMITS.container.workspaceBytes}])
os.unlink('/home/user/big')`;
    expect(await agent.ask(fill)).toEqual(["ENOSPC", true]);
  });

  test("memory, swap and processes are bounded where the kernel counts them", async () => {
    const read = (v1: string, v2: string) => `
def first(*paths):
    for path in paths:
        try: return open(path).read().strip()
        except OSError: pass
reply(first('/sys/fs/cgroup/${v1}', '/sys/fs/cgroup/${v2}'))`;
    expect(Number(await agent.ask(read("memory/memory.limit_in_bytes", "memory.max")))).toBe(spec.memoryBytes);
    // v1 counts memory and swap together, v2 swap alone; a kernel without swap accounting has neither file.
    expect([String(spec.memoryBytes), "0", null]).toContain(await agent.ask(read("memory/memory.memsw.limit_in_bytes", "memory.swap.max")));
    expect(await agent.ask(read("pids/pids.max", "pids.max"))).toBe(String(spec.pids));
    const limits = "import resource as r\nreply([r.getrlimit(r.RLIMIT_NOFILE), r.getrlimit(r.RLIMIT_CORE)])";
    expect(await agent.ask(limits)).toEqual([Array(2).fill(LIMITS.container.openFiles), [0, 0]]);
    expect(await agent.ask("s = os.statvfs('/dev/shm'); reply(s.f_blocks * s.f_frsize)")).toBe(LIMITS.container.shmBytes);
  });

  test("a fork bomb ends at the bound, and the container goes on", async () => {
    const bomb = `
import errno
children, stopped = [], None
while stopped is None and len(children) < 5000:
    try: pid = os.fork()
    except OSError as e: stopped = errno.errorcode[e.errno]; break
    if pid == 0:
        while True: signal.pause()
    children.append(pid)
for pid in children: os.kill(pid, 9)
for pid in children: os.waitpid(pid, 0)
reply([stopped, len(children)])`.replace("import errno", "import errno, signal");
    expect(await agent.ask(bomb)).toEqual(["EAGAIN", spec.pids - 1]);
  });

  test("no way to the engine, no devices of the host, masked kernel files", async () => {
    const sockets = ["/var/run/docker.sock", "/run/docker.sock", "/run/containerd/containerd.sock", "/var/run/crio/crio.sock"];
    expect(await agent.ask(`reply([os.path.exists(p) for p in ${JSON.stringify(sockets)}])`)).toEqual([false, false, false, false]);
    const devices = await agent.ask<string[]>(
      "import stat\nreply(sorted(n for n in os.listdir('/dev') if stat.S_ISCHR(os.lstat('/dev/' + n).st_mode) or stat.S_ISBLK(os.lstat('/dev/' + n).st_mode)))",
    );
    expect(devices).toEqual(["full", "null", "random", "tty", "urandom", "zero"]);
    expect(await agent.ask("reply([open('/proc/' + n).read() for n in ('keys', 'timer_list')])")).toEqual(["", ""]);
    expect(await agent.ask("reply(os.listdir('/sys/firmware'))")).toEqual([]);
    const write = "try: open('/proc/sys/kernel/core_pattern', 'w'); reply('open')\nexcept OSError: reply('refused')";
    expect(await agent.ask(write)).toBe("refused");
    expect(await agent.ask("reply(sorted(k for k in os.environ if 'DOCKER' in k or 'TOKEN' in k or 'KEY' in k))")).toEqual([]);
  });

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
    expect(await agent.ask(callSource(numbers, args))).toBe(EPERM);
  });

  test("clone3 does not exist, so that the C library takes clone", async () => {
    expect(await agent.ask(callSource([435, 435], `${pointer}, ${long(64)}`))).toBe(ENOSYS);
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
    expect(await agent.ask(callSource(numbers, args))).toBe(0);
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
    expect(await agent.ask(source)).toBe(true);
  });

  const shell = (line: string) => `
import subprocess
done = subprocess.run(['/bin/bash', '-c', ${JSON.stringify(line)}], capture_output=True, text=True, cwd='/home/user', env={'HOME': '/home/user', 'PATH': '/opt/py/bin:/usr/bin:/bin'})
reply([done.returncode, done.stdout[-2000:], done.stderr[-2000:]])`;
  const python = (source: string) => shell(`/opt/py/bin/python -c '${source}'`);

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
    expect(await agent.ask(source)).toEqual([0, output, ""]);
  });

  test("what only some flavours have works where it is there", { timeout: 60_000 }, async () => {
    const has = async (path: string) => await agent.ask<boolean>(`reply(os.path.exists('${path}'))`);
    if (await has("/opt/py/bin/deno")) {
      expect(await agent.ask(shell("NO_COLOR=1 deno eval 'console.log(1 + 1, new Intl.NumberFormat(\"de\").format(1234.5))'"))).toEqual([
        0,
        "2 1.234,5\n",
        "",
      ]);
    }
    const modules = await agent.ask<string[]>(
      "reply([n for n in ('polars', 'duckdb', 'pyarrow', 'sklearn') if any(os.path.isdir('/opt/py/lib/python3.13/site-packages/' + n) for _ in (0,))])",
    );
    for (const [name, source, output] of [
      ["polars", 'import polars as p; print(p.DataFrame({"a": [1, 2]}).lazy().select(p.col("a").sum()).collect().item())', "3\n"],
      ["duckdb", 'import duckdb; print(duckdb.sql("select sum(i) from range(1000000) t(i)").fetchall()[0][0])', "499999500000\n"],
      [
        "pyarrow",
        'import pyarrow as a, pyarrow.parquet as q; q.write_table(a.table({"a": [1]}), "x.parquet"); print(q.read_table("x.parquet").num_rows)',
        "1\n",
      ],
      [
        "sklearn",
        "from sklearn.ensemble import RandomForestClassifier as R; print(R(9, n_jobs=2, random_state=0).fit([[0], [1]] * 9, [0, 1] * 9).predict([[1]])[0])",
        "1\n",
      ],
    ] as const) {
      if (modules.includes(name)) expect(await agent.ask(python(source)), name).toEqual([0, output, ""]);
    }
  });
});
