/**
 * The system calls that code in a sandbox may make: what Python, Deno, R, a shell and numerical libraries need. Everything else gets EPERM. The kernel
 * is shared with the host, so each call that is left out is surface that an escape cannot use. Left out on purpose, though engines allow some of them:
 * io_uring and the older asynchronous I/O, keyrings, bpf, perf, userfaultfd, ptrace and reading other processes' memory, namespaces, mounts,
 * modules, file handles, fanotify, quotas, accounting, swap, clocks, NUMA placement and port I/O.
 */
const ALLOWED = {
  /** By descriptor and by path. openat2 is how the supervisor stays beneath the workspace; mknod makes FIFOs, devices need a capability. */
  files: `access cachestat chdir chmod chown close close_range copy_file_range creat dup dup2 dup3 faccessat faccessat2 fadvise64 fallocate fchdir
    fchmod fchmodat fchmodat2 fchown fchownat fcntl fdatasync fgetxattr flistxattr flock fremovexattr fsetxattr fstat fstatfs fsync ftruncate
    futimesat getcwd getdents getdents64 getxattr lchown lgetxattr link linkat listxattr llistxattr lremovexattr lseek lsetxattr lstat mkdir
    mkdirat mknod mknodat newfstatat open openat openat2 pread64 preadv preadv2 pwrite64 pwritev pwritev2 read readahead readlink readlinkat
    readv removexattr rename renameat renameat2 rmdir sendfile setxattr splice stat statfs statx symlink symlinkat sync sync_file_range syncfs
    tee truncate umask unlink unlinkat utime utimensat utimes vmsplice write writev`,
  /** Event loops: asyncio, libuv, tokio. */
  waiting: `epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 epoll_wait eventfd eventfd2 inotify_add_watch inotify_init
    inotify_init1 inotify_rm_watch pause pipe pipe2 poll ppoll pselect6 select signalfd signalfd4 timerfd_create timerfd_gettime timerfd_settime`,
  /** memfd_create carries shared memory and compiled code; the protection keys are V8's; System V segments are private to the sandbox. */
  memory: `brk madvise membarrier memfd_create mincore mlock mlock2 mlockall mmap mprotect mremap msync munlock munlockall munmap pkey_alloc
    pkey_free pkey_mprotect shmat shmctl shmdt shmget`,
  /** Threads and processes. What sets ids works on the ids that the sandbox has, as shells and servers do at start. */
  processes: `arch_prctl capget capset execve execveat exit exit_group fork futex futex_requeue futex_wait futex_waitv futex_wake get_robust_list
    getegid geteuid getgid getgroups getpgid getpgrp getpid getppid getpriority getresgid getresuid getrlimit getrusage getsid gettid getuid
    ioprio_get ioprio_set kill pidfd_open pidfd_send_signal prctl restart_syscall rseq rt_sigaction rt_sigpending rt_sigprocmask
    rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo sched_get_priority_max sched_get_priority_min
    sched_getaffinity sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval sched_setaffinity sched_yield
    set_robust_list set_tid_address setfsgid setfsuid setgid setgroups setpgid setregid setresgid setresuid setreuid setrlimit setsid setuid sigaltstack tgkill tkill vfork wait4 waitid`,
  /** Programs that lock themselves in: file, xz. These only ever take rights away. */
  confinement: "landlock_add_rule landlock_create_ruleset landlock_restrict_self seccomp",
  time: `alarm clock_getres clock_gettime clock_nanosleep getitimer gettimeofday nanosleep setitimer time timer_create timer_delete
    timer_getoverrun timer_gettime timer_settime times`,
  /** Semaphores and queues between processes; the IPC namespace is the sandbox's own. */
  messages:
    "mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedsend mq_unlink msgctl msgget msgrcv msgsnd semctl semget semop semtimedop",
  /** On sockets that exist; which may be made is decided below. */
  sockets: `accept accept4 bind connect getpeername getsockname getsockopt listen recvfrom recvmmsg recvmsg sendmmsg sendmsg sendto setsockopt
    shutdown`,
  system: "getcpu getrandom ioctl sysinfo uname",
} as const;

const ENOSYS = 38;
/** CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET: a clone with any of these would make a namespace. */
const CLONE_NAMESPACE_FLAGS = 0x7e020000;
const SCHED_OTHER = 0;
const AF_NETLINK = 16;
const NETLINK_ROUTE = 0;
/** AF_UNIX, AF_INET, AF_INET6. No AF_VSOCK, which reaches a hypervisor, no AF_ALG, AF_PACKET and other seldom trodden code. */
const SOCKET_FAMILIES = [1, 2, 10];
/** PER_LINUX and the query 0xffffffff. Others switch address randomisation off or emulate other kernels. */
const PERSONALITIES = [0, 0xffffffff];

interface Argument {
  index: number;
  value: number;
  valueTwo: number;
  op: "SCMP_CMP_EQ" | "SCMP_CMP_MASKED_EQ";
}

const equals = (index: number, value: number): Argument => ({ index, value, valueTwo: 0, op: "SCMP_CMP_EQ" });
const allow = (names: string[], args: Argument[] = []) => ({ names, action: "SCMP_ACT_ALLOW", args });

const profile = {
  defaultAction: "SCMP_ACT_ERRNO",
  defaultErrnoRet: 1,
  // No sub-architectures: 32-bit calls have numbers and multiplexers of their own, and nothing in the image makes them.
  archMap: ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"].map((architecture) => ({ architecture, subArchitectures: [] })),
  syscalls: [
    allow(Object.values(ALLOWED).flatMap((names) => names.split(/\s+/))),
    // The flags of clone lie in its first argument on both architectures; masked with the namespaces' flags, they must be none.
    allow(["clone"], [{ index: 0, value: CLONE_NAMESPACE_FLAGS, valueTwo: 0, op: "SCMP_CMP_MASKED_EQ" }]),
    // clone3 has its flags behind a pointer, where no filter sees them. ENOSYS sends the C library back to clone.
    { names: ["clone3"], action: "SCMP_ACT_ERRNO", errnoRet: ENOSYS, args: [] },
    ...["socket", "socketpair"].flatMap((name) => SOCKET_FAMILIES.map((family) => allow([name], [equals(0, family)]))),
    // getifaddrs asks the routing part of netlink; its other parts, the packet filter's among them, stay shut.
    allow(["socket"], [equals(0, AF_NETLINK), equals(2, NETLINK_ROUTE)]),
    // A process's own limits and priority only, or a look at another's limits: the supervisor has the same uid, and a limit can end it.
    allow(["prlimit64"], [equals(0, 0)]),
    allow(["prlimit64"], [equals(2, 0)]),
    allow(["sched_setattr", "sched_setparam", "sched_setscheduler"], [equals(0, 0)]),
    // libzmq gives each of its threads the usual policy, by the thread's own number, and ends the process where it may not.
    allow(["sched_setscheduler"], [equals(1, SCHED_OTHER)]),
    allow(["setpriority"], [equals(1, 0)]),
    ...PERSONALITIES.map((persona) => allow(["personality"], [equals(0, persona)])),
  ],
};

/** As the engine's API takes it: JSON in a security option. */
export const SECCOMP_PROFILE = JSON.stringify(profile);
