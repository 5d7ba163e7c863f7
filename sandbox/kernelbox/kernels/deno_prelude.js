// Runs first in every Deno kernel, before any code of a user.

// There is nobody to ask: Deno's own would give null, or false, without a word.
for (const name of ["prompt", "confirm", "alert"]) {
  const refuse = () => {
    throw new Error(`${name}() is not available: there is no stdin. Pass values as variables instead.`);
  };
  Object.defineProperty(globalThis, name, { value: refuse, writable: true, configurable: true, enumerable: false });
}

// An error in a callback would stop Deno's kernel for good, without a word; a promise that is rejected and forgotten says nothing either.
for (const kind of ["error", "unhandledrejection"]) {
  globalThis.addEventListener(kind, (event) => {
    event.preventDefault();
    // Code that was interrupted is told of like this too, without a word.
    const what = event.reason ?? event.error ?? event.message;
    // biome-ignore lint/suspicious/noConsole: it is how the user is told
    if (what) console.error("Uncaught, in a callback:", what);
  });
}

// What is written to Deno.stdout, and what child processes that inherit it write, goes into pipes that Deno's kernel made for itself and reads,
// and is never shown. Each gets the process's own stdout or stderr in its place, which the supervisor reads. Such a pipe has both its ends in this
// process; they were made in pairs, stdout before stderr.
{
  const pipes = new Map();
  for (const { name: fd } of Deno.readDirSync("/proc/self/fd")) {
    try {
      const inode = /^pipe:\[(\d+)\]$/.exec(Deno.readLinkSync(`/proc/self/fd/${fd}`))?.[1];
      if (inode === undefined || Number(fd) <= 2) continue;
      const isWritten = /^flags:\s*\d*1$/m.test(Deno.readTextFileSync(`/proc/self/fdinfo/${fd}`));
      const ends = pipes.get(Number(inode)) ?? { read: [], written: [] };
      ends[isWritten ? "written" : "read"].push(Number(fd));
      pipes.set(Number(inode), ends);
    } catch {
      // The descriptor of the folder itself.
    }
  }
  const own = [...pipes].filter(([, { read, written }]) => read.length > 0 && written.length > 0).sort(([a], [b]) => a - b);
  if (own.length > 0 && own.length % 2 === 0) {
    const libc = Deno.dlopen("libc.so.6", { dup3: { parameters: ["i32", "i32", "i32"], result: "i32" } });
    const O_CLOEXEC = 0o2000000;
    own.forEach(([, { written }], at) => {
      for (const fd of written) libc.symbols.dup3(at % 2 === 0 ? 1 : 2, fd, O_CLOEXEC);
    });
    libc.close();

    // console goes the same way. Its messages wait in a queue without a bound that is sent some hundred a second, after the code is long done.
    const write = (text, level) => {
      const stream = level > 1 ? Deno.stderr : Deno.stdout;
      let bytes = new TextEncoder().encode(text);
      while (bytes.length > 0) bytes = bytes.subarray(stream.writeSync(bytes));
    };
    Object.assign(console, new Deno[Deno.internal].Console(write));
  }
}

// Values and pictures wait in that queue too, while the code is reported done. What is sent behind them says that they have been sent.
{
  const send = Deno.jupyter.broadcast;
  Object.defineProperty(globalThis, Symbol.for("kernelbox.barrier"), { value: () => void send("kernelbox_barrier", {}) });
}
