import { afterAll, beforeAll, expect, it } from "vitest";
import { startClient, type TestClient } from "../helpers/client.ts";
import { guardAgainstLeaks } from "../helpers/containers.ts";

guardAgainstLeaks();

let client: TestClient;
beforeAll(async () => {
  client = await startClient();
});
afterAll(async () => await client.close());

const run = async (code: string, args = {}) => (await client.run(code, args)).structured;

/** Tries what must not be allowed, and keeps what came of it under its name. */
const ATTEMPT = `
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
tries = {}
def attempt(name, action):
    try:
        action(); tries[name] = 'ALLOWED'
    except OSError as error:
        tries[name] = error.errno
`;

it("can neither trace the supervisor nor read or write what it holds", async () => {
  const reply = await run(`${ATTEMPT}
for fd in range(0, 12):
    attempt(f'fd{fd}', lambda: os.write(os.open(f'/proc/1/fd/{fd}', os.O_WRONLY), b'K'))
for name in ('environ', 'mem', 'maps', 'auxv'):
    attempt(name, lambda: open(f'/proc/1/{name}', 'rb').read(1))
def ptrace():
    if libc.ptrace(16, 1, 0, 0) != 0: raise OSError(ctypes.get_errno(), '')
attempt('ptrace', ptrace)
def pidfd():
    fd = libc.syscall(434, 1, 0)
    if libc.syscall(438, fd, 1, 0) < 0: raise OSError(ctypes.get_errno(), '')
attempt('pidfd_getfd', pidfd)
[name for name, result in tries.items() if result == 'ALLOWED'], len(tries)
`);
  expect(reply.result).toBe("([], 18)");
});

it("sends the supervisor every signal, and it goes on", async () => {
  await run("x = 1");
  const reply = await run(`
import os, signal
sent = 0
for number in signal.valid_signals():
    try:
        os.kill(1, number); sent += 1
    except OSError: pass
sent > 50, x
`);
  expect(reply.result).toBe("(True, 1)");
  expect(await run("x")).toMatchObject({ result: "1", state: { incarnation: 1 } });
});

it("can neither limit nor starve the supervisor, nor end it by a signal that claims to come from outside", async () => {
  const reply = await run(`${ATTEMPT}
import resource, signal
threads = [1] + [int(t) for t in os.listdir('/proc/1/task')]
for pid in threads:
    attempt(f'cpu {pid}', lambda: resource.prlimit(pid, resource.RLIMIT_CPU, (1, 1)))
    attempt(f'files {pid}', lambda: resource.prlimit(pid, resource.RLIMIT_NOFILE, (0, 0)))
    attempt(f'priority {pid}', lambda: os.setpriority(os.PRIO_PROCESS, pid, 19))
    attempt(f'scheduler {pid}', lambda: os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0)))
# Fills the queue of pending signals, so that the kernel drops who sends the next one.
info = (ctypes.c_int * 32)(signal.SIGRTMIN, 0, -1)
queued = 0
while libc.syscall(129, 1, int(signal.SIGRTMIN), ctypes.byref(info)) == 0 and queued < 200_000: queued += 1
info[0] = signal.SIGTERM
libc.syscall(129, 1, int(signal.SIGTERM), ctypes.byref(info))
own = resource.prlimit(0, resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, own)
os.nice(1)
[name for name, result in tries.items() if result == 'ALLOWED'], len(tries) >= 8, queued > 10
`);
  expect(reply).toMatchObject({ status: "ok", result: "([], True, True)" });
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  expect(await run("1 + 1")).toMatchObject({ result: "2", state: { incarnation: 1 } });
});

it("cannot impersonate the supervisor on its own descriptors", async () => {
  const forged = await run(
    `
import os, json, struct
answer = json.dumps({'result': {'forged': True}}).encode()
frame = struct.pack('>BBII', 0x4B, 4, 1, len(answer)) + answer
for fd in range(0, 64):
    for bytes_ in (frame, b'no frame at all'):
        try: os.write(fd, bytes_)
        except OSError: pass
'written'
`,
    { timeout_s: 5 },
  );
  // It spoils its own kernel, and nothing else.
  expect(["ok", "error", "died", "timeout"]).toContain(forged.status);
  // Bytes that are no frame would have ended the channel, had any descriptor led there.
  expect(client.stderr()).not.toContain("the channel broke");
  expect((await run("2 + 2")).result).toBe("4");
});

it("survives what code does to every process, its descriptors, its disk and its process table", async () => {
  const all = await run("import subprocess\nsubprocess.run(['bash', '-c', 'kill -9 -1'])");
  expect(all).toMatchObject({ status: "died", state: { variables: "lost" } });
  expect((await run("1 + 1")).result).toBe("2");

  const closed = await run("import os\nos.closerange(0, 4096)\n'x'", { timeout_s: 5 });
  expect(["died", "timeout", "error"]).toContain(closed.status);
  expect((await run("1 + 1")).result).toBe("2");

  const full = await run(
    "import os\nf = open('big', 'wb')\ntry:\n    while True: f.write(b'x' * 1048576)\nexcept OSError as e:\n    n = e.errno\nn",
  );
  expect(full.result).toBe("28");
  expect((await run("import os\ntry: f.close()\nexcept OSError: pass\nos.remove('big')\n1 + 1")).result).toBe("2");

  const bomb = await run(
    "import os\nn = 0\ntry:\n    while True:\n        os.posix_spawn('/bin/sleep', ['sleep', '300'], {})\n        n += 1\nexcept OSError as e:\n    r = e.errno\n(n > 100, r)",
  );
  expect(bomb.result).toBe("(True, 11)");
  // Files go on without a new process, while the process table is full.
  expect((await client.call("write_file", { path: "still.txt", content: "works" })).isError).toBe(false);
  expect((await client.call("restart_context", { context_id: bomb.context_id })).isError).toBe(false);
  expect((await run("1 + 1")).result).toBe("2");

  // Copies of a Python process fill the memory before they fill the table.
  const copies = await run("import os, time\nwhile True:\n    if os.fork() == 0:\n        time.sleep(300)\n        os._exit(0)");
  expect(copies.status === "error" ? copies.error.name : copies.state.reason).toMatch(/BlockingIOError|out_of_memory/);
  expect((await client.call("restart_context", { context_id: bomb.context_id })).isError).toBe(false);
  expect((await run("1 + 1")).result).toBe("2");
});

it("can run the code that cleans up when everything is full, also after its kernel has died", async () => {
  const full = await run(`
import os
for folder in ('/tmp', '/home/user'):
    try:
        with open(folder + '/fill', 'wb', buffering=0) as f:
            while True: f.write(bytes(1 << 20))
    except OSError: pass
def room(folder):
    try:
        with open(folder + '/probe', 'wb') as f: f.write(bytes(4096))
        return True
    except OSError: return False
[room('/tmp'), room('/home/user')]`);
  expect(full.result).toBe("[False, False]");
  expect(await run("import os\nos._exit(1)")).toMatchObject({ status: "died" });
  const cleaned = await run(
    "import os\nfor f in ('/tmp/fill', '/home/user/fill', '/tmp/probe', '/home/user/probe'): os.remove(f)\n'clean'",
  );
  expect(cleaned).toMatchObject({ status: "ok", result: "'clean'" });
});

it("stops every process it can, and other contexts go on", async () => {
  const { context_id } = (await client.call("create_context")).structured;
  await run("kept = 5", { context_id });
  const stopped = await run("import os, signal\nos.kill(-1, signal.SIGSTOP)\nos.kill(os.getpid(), signal.SIGSTOP)\n'woken'", {
    timeout_s: 1,
  });
  expect(["timeout", "ok"]).toContain(stopped.status);
  expect(await run("kept", { context_id, timeout_s: 10 })).toMatchObject({ status: "ok", result: "5" });
  expect((await run("1 + 1")).result).toBe("2");
  await client.call("delete_context", { context_id });
});

it("leaves no process behind when its kernel is killed at a timeout, not even one in a session of its own", async () => {
  const { context_id } = (await client.call("create_context")).structured;
  const start = "import subprocess\nps = [subprocess.Popen(['sleep', '86399'], start_new_session=new) for new in (True, False)]";
  await run(start, { context_id });
  const stubborn = "while True:\n    try:\n        while True: pass\n    except KeyboardInterrupt: pass";
  expect(await run(stubborn, { context_id, timeout_s: 1 })).toMatchObject({ status: "timeout", state: { reason: "timeout_kill" } });
  const look = "import subprocess\nsubprocess.run(['pgrep', '-c', '-f', 'sleep 86399'], capture_output=True, text=True).stdout.strip()";
  expect((await run(look)).result).toBe("'0'");
  await client.call("delete_context", { context_id });
});

it("runs nothing of the user's in the launcher of the next kernel", async () => {
  const planted = await run(`
import os, site
for name in ('numpy.py', 'zmq.py', 'ipykernel.py', 'usercustomize.py', 'sitecustomize.py'):
    open(name, 'w').write("open('/home/user/planted-ran', 'w').close(); raise SystemExit('planted')")
os.environ['PYTHONSTARTUP'] = '/home/user/numpy.py'
`);
  const restarted = await client.call("restart_context", { context_id: planted.context_id });
  expect(restarted.isError).toBe(false);
  expect((await run("import os\nos.path.exists('/home/user/planted-ran')")).result).toBe("False");
  await run("import os\nfor f in os.listdir('.'): f.endswith('.py') and os.remove(f)");
});

it("sees no network, no secret and no more rights than it needs", async () => {
  const reply = await run(`
import os, socket
status = dict(line.split(':\\t', 1) for line in open('/proc/self/status').read().splitlines() if ':\\t' in line)
def reach():
    try:
        socket.create_connection(('198.51.100.1', 80), 1); return 'reached'
    except OSError as e: return e.errno
{'uid': os.getuid(), 'caps': status['CapEff'], 'nnp': status['NoNewPrivs'], 'seccomp': status['Seccomp'],
 'interfaces': [name for _, name in socket.if_nameindex()], 'reach': reach(),
 'sockets': [p for p in ('/var/run/docker.sock', '/run/docker.sock') if os.path.exists(p)],
 'killed_first': open('/proc/self/oom_score_adj').read().strip(), 'secrets': [k for k in os.environ if any(w in k.upper() for w in ('TOKEN', 'SECRET', 'PASSWORD'))]}
`);
  expect(reply.result_json).toEqual({
    uid: 1000,
    caps: "0000000000000000",
    nnp: "1",
    seccomp: "2",
    interfaces: ["lo"],
    reach: 101,
    sockets: [],
    killed_first: "1000",
    secrets: [],
  });
});
