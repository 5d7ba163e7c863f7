import { describe, expect, test } from "vitest";
import { LIMITS } from "../../src/limits.ts";
import { Agent } from "./agent.ts";
import { defaultContainer, FIRST } from "./default-container.ts";

/** Each of a container's defaults, seen from the inside and as the engine has written it down. */
describe("a docker container's defaults", () => {
  const box = defaultContainer();

  const status = async () => {
    const text = await box.agent.ask<string>("reply(open('/proc/self/status').read())");
    return Object.fromEntries(text.split("\n").map((line) => line.split(/:\s*/, 2))) as Record<string, string>;
  };

  test("the engine has written down what was asked for, and nothing more", () => {
    const { Config, HostConfig, Mounts, NetworkSettings } = box.inspected;
    const { container } = LIMITS;
    expect(HostConfig).toMatchObject({
      AutoRemove: true,
      CapDrop: ["ALL"],
      Init: false,
      IpcMode: "private",
      LogConfig: { Type: "none" },
      Memory: box.spec.memoryBytes,
      MemorySwap: box.spec.memoryBytes,
      NetworkMode: "none",
      OomKillDisable: false,
      PidMode: "",
      PidsLimit: box.spec.pids,
      Privileged: false,
      PublishAllPorts: false,
      ReadonlyRootfs: true,
      RestartPolicy: { Name: "no" },
      ShmSize: container.shmBytes,
      Tmpfs: {
        "/home/user": `rw,exec,nosuid,nodev,size=${box.spec.workspaceBytes},nr_inodes=${container.workspaceInodes},uid=1000,gid=1000,mode=0700`,
        "/tmp": `rw,exec,nosuid,nodev,size=${container.tmpBytes},nr_inodes=${container.tmpInodes},uid=1000,gid=1000,mode=1777`,
        "/mnt/shared": `rw,exec,nosuid,nodev,size=${container.sharedBytes},nr_inodes=${container.sharedInodes},uid=1000,gid=1000,mode=0755`,
      },
      UTSMode: "",
      UsernsMode: "",
    });
    // Engines differ in whether nothing is null or empty.
    const { Binds, CapAdd, DeviceRequests, DeviceCgroupRules, Devices, GroupAdd, PortBindings, VolumesFrom, ExtraHosts } = HostConfig;
    for (const extra of [Binds, CapAdd, DeviceRequests, DeviceCgroupRules, Devices, GroupAdd, PortBindings, VolumesFrom, ExtraHosts]) {
      expect(Object.keys(extra ?? {})).toEqual([]);
    }
    expect(HostConfig.NanoCpus).toBe(box.cpus * 1e9);
    expect(HostConfig.Ulimits?.map(({ Name, Soft, Hard }) => [Name, Soft, Hard])).toEqual([
      ["nofile", container.openFiles, container.openFiles],
      ["core", 0, 0],
    ]);
    expect(HostConfig.SecurityOpt).toEqual([
      "no-new-privileges:true",
      expect.stringMatching(/^seccomp=\{"defaultAction":"SCMP_ACT_ERRNO"/),
    ]);
    expect(HostConfig.MaskedPaths).toEqual(expect.arrayContaining(["/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"]));
    expect(HostConfig.ReadonlyPaths).toEqual(expect.arrayContaining(["/proc/sys", "/proc/sysrq-trigger"]));
    expect(Config).toMatchObject({
      User: "1000:1000",
      WorkingDir: "/",
      Tty: false,
      OpenStdin: true,
      StdinOnce: false,
      Labels: box.spec.labels,
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
    const seen = await box.agent.ask(
      "import pwd\nu = pwd.getpwuid(os.getuid())\nreply([os.getpid(), os.getuid(), os.getgid(), os.getgroups(), u.pw_name, u.pw_dir, os.getcwd()])",
    );
    expect(seen).toEqual([1, 1000, 1000, [1000], "user", "/home/user", "/"]);
    expect(await box.agent.ask("reply(os.path.realpath('/mnt/data'))")).toBe("/home/user");
  });

  test("the only network is loopback", async () => {
    expect(await box.agent.ask("reply(sorted(os.listdir('/sys/class/net')))")).toEqual(["lo"]);
    const connect = "import socket\ns = socket.socket(); s.settimeout(3)\nreply(s.connect_ex(('1.1.1.1', 53)))";
    expect(await box.agent.ask(connect)).toBe(101);
    expect(
      await box.agent.ask("import socket\ntry: socket.getaddrinfo('debian.org', 80); reply('resolved')\nexcept OSError: reply('no')"),
    ).toBe("no");
    const loopback =
      "import socket\na = socket.create_server(('127.0.0.1', 0)); b = socket.create_connection(a.getsockname()); reply('connected')";
    expect(await box.agent.ask(loopback)).toBe("connected");
  });

  test("the root, and everything but the workspace, /mnt/shared, /tmp and /dev, is read-only", async () => {
    const errno = (path: string) => `try: open('${path}', 'w'); reply(0)\nexcept OSError as e: reply(e.errno)`;
    const EROFS = 30;
    expect(await box.agent.ask(errno("/x"))).toBeOneOf([EROFS, 13]);
    expect(await box.agent.ask("reply(bool(os.statvfs('/').f_flag & os.ST_RDONLY))")).toBe(true);
    expect(await box.agent.ask(errno("/etc/passwd"))).toBeOneOf([EROFS, 13]);
    const writable = `
found = []
for top, folders, files in os.walk('/'):
    if top.startswith('/proc'): folders[:] = []; continue
    if os.access(top, os.W_OK): found.append(top)
reply(sorted(found))`;
    expect(await box.agent.ask(writable)).toEqual(["/dev/mqueue", "/dev/shm", "/home/user", "/mnt/shared", "/tmp"]);
  });

  test("the workspace and /tmp are bounded in bytes and inodes, runnable, without setuid and devices", async () => {
    const look = (path: string) =>
      `s = os.statvfs('${path}'); m = os.stat('${path}')\nreply([s.f_blocks * s.f_frsize, s.f_files, oct(m.st_mode & 0o7777), m.st_uid, m.st_gid])`;
    expect(await box.agent.ask(look("/home/user"))).toEqual([
      box.spec.workspaceBytes,
      LIMITS.container.workspaceInodes,
      "0o700",
      1000,
      1000,
    ]);
    expect(await box.agent.ask(look("/tmp"))).toEqual([LIMITS.container.tmpBytes, LIMITS.container.tmpInodes, "0o1777", 1000, 1000]);
    const { sharedBytes, sharedInodes } = LIMITS.container;
    expect(await box.agent.ask(look("/mnt/shared"))).toEqual([sharedBytes, sharedInodes, "0o755", 1000, 1000]);
    const mounts = await box.agent.ask<string>("reply(open('/proc/self/mounts').read())");
    for (const path of ["/home/user", "/mnt/shared", "/tmp"]) {
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
    expect(await box.agent.ask(run)).toBe("ran\n");
  });

  test("two containers do not see each other's shared memory", async () => {
    const other = await box.engine.create(box.spec);
    try {
      const neighbour = new Agent(other.stream);
      await neighbour.line();
      const namespace = "reply(os.readlink('/proc/self/ns/ipc'))";
      const own = await box.agent.ask<string>(namespace);
      expect(own).toMatch(/^ipc:\[\d+\]$/);
      expect(await neighbour.ask(namespace)).not.toBe(own);
      // A segment of System V, and a file of /dev/shm.
      const make = `
import ctypes
libc = ctypes.CDLL(None)
reply([libc.shmget(0x6b62, 4096, 0o1666) >= 0, open('/dev/shm/mine', 'w').write('x')])`;
      expect(await box.agent.ask(make)).toEqual([true, 1]);
      const look = "reply([len(open('/proc/sysvipc/shm').readlines()) - 1, os.listdir('/dev/shm')])";
      expect(await box.agent.ask(look)).toEqual([1, ["mine"]]);
      expect(await neighbour.ask(look)).toEqual([0, []]);
      await box.agent.ask(
        "import ctypes; libc = ctypes.CDLL(None); libc.shmctl(libc.shmget(0x6b62, 4096, 0), 0, None); os.unlink('/dev/shm/mine'); reply(0)",
      );
    } finally {
      await box.engine.destroy(other.containerId);
    }
  });

  test("memory, swap, processes and processors are bounded where the kernel counts them", async () => {
    const read = (v1: string, v2: string) => `${FIRST}
reply(first('/sys/fs/cgroup/${v1}', '/sys/fs/cgroup/${v2}'))`;
    expect(Number(await box.agent.ask(read("memory/memory.limit_in_bytes", "memory.max")))).toBe(box.spec.memoryBytes);
    // v1 counts memory and swap together, v2 swap alone; a kernel without swap accounting has neither file.
    expect([String(box.spec.memoryBytes), "0", null]).toContain(
      await box.agent.ask(read("memory/memory.memsw.limit_in_bytes", "memory.swap.max")),
    );
    expect(await box.agent.ask(read("pids/pids.max", "pids.max"))).toBe(String(box.spec.pids));
    const quota = `${FIRST}
whole = first('/sys/fs/cgroup/cpu.max')
quota, period = whole.split() if whole else (first('/sys/fs/cgroup/cpu/cpu.cfs_quota_us'), first('/sys/fs/cgroup/cpu/cpu.cfs_period_us'))
reply(int(quota) / int(period))`;
    expect(await box.agent.ask(quota)).toBe(box.cpus);
    const limits = "import resource as r\nreply([r.getrlimit(r.RLIMIT_NOFILE), r.getrlimit(r.RLIMIT_CORE)])";
    expect(await box.agent.ask(limits)).toEqual([Array(2).fill(LIMITS.container.openFiles), [0, 0]]);
    expect(await box.agent.ask("s = os.statvfs('/dev/shm'); reply(s.f_blocks * s.f_frsize)")).toBe(LIMITS.container.shmBytes);
  });

  test("no way to the engine, no devices of the host, masked kernel files", async () => {
    const sockets = ["/var/run/docker.sock", "/run/docker.sock", "/run/containerd/containerd.sock", "/var/run/crio/crio.sock"];
    expect(await box.agent.ask(`reply([os.path.exists(p) for p in ${JSON.stringify(sockets)}])`)).toEqual([false, false, false, false]);
    const devices = await box.agent.ask<string[]>(
      "import stat\nreply(sorted(n for n in os.listdir('/dev') if stat.S_ISCHR(os.lstat('/dev/' + n).st_mode) or stat.S_ISBLK(os.lstat('/dev/' + n).st_mode)))",
    );
    expect(devices).toEqual(["full", "null", "random", "tty", "urandom", "zero"]);
    expect(await box.agent.ask("reply([open('/proc/' + n).read() for n in ('keys', 'timer_list')])")).toEqual(["", ""]);
    expect(await box.agent.ask("reply(os.listdir('/sys/firmware'))")).toEqual([]);
    const write = "try: open('/proc/sys/kernel/core_pattern', 'w'); reply('open')\nexcept OSError: reply('refused')";
    expect(await box.agent.ask(write)).toBe("refused");
    expect(await box.agent.ask("reply(sorted(k for k in os.environ if 'DOCKER' in k or 'TOKEN' in k or 'KEY' in k))")).toEqual([]);
  });
});
