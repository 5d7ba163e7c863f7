import { expect, test } from "vitest";
import { SECCOMP_PROFILE } from "../../../../src/engines/docker/seccomp.ts";

interface Rule {
  names: string[];
  action: string;
  errnoRet?: number;
  args: { index: number; value: number; valueTwo: number; op: string }[];
}

const profile: { defaultAction: string; archMap: { architecture: string }[]; syscalls: Rule[] } = JSON.parse(SECCOMP_PROFILE);
const allowed = profile.syscalls.filter(({ action }) => action === "SCMP_ACT_ALLOW");
const always = allowed.filter(({ args }) => args.length === 0).flatMap(({ names }) => names);

test("what is not named is refused, on both architectures", () => {
  expect(profile.defaultAction).toBe("SCMP_ACT_ERRNO");
  expect(profile.archMap.map(({ architecture }) => architecture)).toEqual(["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"]);
});

test("no name stands twice", () => {
  expect(always.filter((name, index) => always.indexOf(name) !== index)).toEqual([]);
});

test("nothing that widens the kernel's surface is allowed", () => {
  const refused = `acct add_key bpf chroot clock_adjtime clock_settime clone3 delete_module fanotify_init finit_module fsconfig fsmount fsopen fspick
    get_mempolicy init_module io_setup io_submit io_uring_enter io_uring_register io_uring_setup ioperm iopl kcmp kexec_file_load kexec_load keyctl
    lookup_dcookie mbind migrate_pages modify_ldt mount mount_setattr move_mount move_pages name_to_handle_at nfsservctl open_by_handle_at open_tree
    perf_event_open pidfd_getfd pivot_root process_madvise process_vm_readv process_vm_writev ptrace quotactl quotactl_fd reboot request_key
    set_mempolicy setdomainname sethostname setns settimeofday swapoff swapon sysfs syslog umount umount2 unshare uselib userfaultfd vhangup vm86`;
  const names = new Set(allowed.flatMap((rule) => rule.names));
  expect(refused.split(/\s+/).filter((name) => names.has(name))).toEqual([]);
});

test("clone makes no namespace, clone3 sends the C library back to clone", () => {
  const clone = allowed.filter(({ names }) => names.includes("clone"));
  expect(clone.map(({ args }) => args)).toEqual([[{ index: 0, value: 0x7e020000, valueTwo: 0, op: "SCMP_CMP_MASKED_EQ" }]]);
  expect(profile.syscalls.find(({ names }) => names.includes("clone3"))).toMatchObject({ action: "SCMP_ACT_ERRNO", errnoRet: 38 });
});

test("only local, internet and routing sockets can be made", () => {
  expect(always).not.toContain("socket");
  const families = allowed
    .filter(({ names }) => names.includes("socket"))
    .map(({ args }) => args.map(({ index, value }) => [index, value]));
  expect(families).toEqual([
    [[0, 1]],
    [[0, 2]],
    [[0, 10]],
    [
      [0, 16],
      [2, 0],
    ],
  ]);
});
