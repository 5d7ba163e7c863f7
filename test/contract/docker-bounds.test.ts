import { describe, expect, test } from "vitest";
import { LIMITS } from "../../src/limits.ts";
import { defaultContainer, FIRST } from "./default-container.ts";

/** Each of a container's bounds, crossed from the inside. */
describe("a docker container's bounds", () => {
  const box = defaultContainer();

  /** Tries until the system refuses: gives the error's name and how far it came. */
  const untilRefused = (step: string, before = "", after = "") => `
import errno
done, files = 0, []
${before}
try:
    while True:
        ${step}
        done += 1
except OSError as e: name = errno.errorcode[e.errno]
${after}
reply([name, done])`;
  const MiB = 1024 * 1024;

  test.for([
    ["/home/user", LIMITS.container.workspaceInodes],
    ["/tmp", LIMITS.container.tmpInodes],
    ["/mnt/shared", LIMITS.container.sharedInodes],
  ] as const)("files beyond the bound of %s are refused, however small", { timeout: 60_000 }, async ([path, inodes]) => {
    const [name, made] = await box.agent.ask<[string, number]>(
      untilRefused(
        `os.close(os.open(f'${path}/many/{done}', os.O_CREAT | os.O_WRONLY))`,
        `os.mkdir('${path}/many')`,
        `import shutil; shutil.rmtree('${path}/many')`,
      ),
    );
    expect(name).toBe("ENOSPC");
    // The two folders are files as well.
    expect(inodes - made).toBeOneOf([1, 2, 3, 4]);
  });

  test.for([
    ["/tmp", LIMITS.container.tmpBytes],
    ["/mnt/shared", LIMITS.container.sharedBytes],
    ["/dev/shm", LIMITS.container.shmBytes],
  ] as const)("bytes beyond the bound of %s are refused", async ([path, bytes]) => {
    const write = untilRefused(
      "f.write(bytes(1 << 20))",
      `f = open('${path}/big', 'wb', buffering=0)`,
      `f.close(); os.unlink('${path}/big')`,
    );
    const [name, written] = await box.agent.ask<[string, number]>(write);
    expect(name).toBe("ENOSPC");
    expect(written).toBeOneOf([bytes / MiB, bytes / MiB + 1, bytes / MiB - 1]);
  });

  test("open files beyond the bound are refused, and the container goes on", async () => {
    const open = untilRefused("files.append(os.open('/dev/null', os.O_RDONLY))", "", "for f in files: os.close(f)");
    const [name, opened] = await box.agent.ask<[string, number]>(open);
    expect(name).toBe("EMFILE");
    expect(opened).toBeGreaterThan(LIMITS.container.openFiles - 20);
    expect(opened).toBeLessThanOrEqual(LIMITS.container.openFiles);
  });

  test("what lies in the workspace counts as memory", async () => {
    const usage = "int(first('/sys/fs/cgroup/memory/memory.usage_in_bytes', '/sys/fs/cgroup/memory.current'))";
    const grown = await box.agent.ask<number>(`${FIRST}
before = ${usage}
with open('/home/user/big', 'wb') as f: f.write(bytes(100 << 20))
after = ${usage}
os.unlink('/home/user/big')
reply(after - before)`);
    expect(grown / MiB).toBeGreaterThan(95);
    expect(grown / MiB).toBeLessThan(300);
  });

  test("a process that crashes leaves no core", async () => {
    const crash = `
pid = os.fork()
if pid == 0: os.abort()
status = os.waitpid(pid, 0)[1]
reply([os.WTERMSIG(status), os.WCOREDUMP(status)])`;
    expect(await box.agent.ask(crash)).toEqual([6, false]);
  });

  test("a full workspace is an error to its writer, not an end of the container", async () => {
    const fill = `
import errno
try:
    with open('/home/user/big', 'wb') as f:
        while True: f.write(bytes(1 << 20))
except OSError as e: reply([errno.errorcode[e.errno], os.path.getsize('/home/user/big') <= ${LIMITS.container.workspaceBytes}])
os.unlink('/home/user/big')`;
    expect(await box.agent.ask(fill)).toEqual(["ENOSPC", true]);
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
    expect(await box.agent.ask(bomb)).toEqual(["EAGAIN", box.spec.pids - 1]);
  });
});
