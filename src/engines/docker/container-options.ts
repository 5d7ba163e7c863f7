import type { ContainerCreateOptions, MountSettings } from "dockerode";
import { KernelboxError } from "../../errors.ts";
import { LIMITS } from "../../limits.ts";
import type { ContainerSpec } from "../engine.ts";
import type { EngineTraits } from "./connection.ts";
import { SECCOMP_PROFILE } from "./seccomp.ts";

const UID = 1000;
const GID = 1000;
const WORKSPACE = "/home/user";

/**
 * The engine's settings for one container, from constants and the spec's own members alone: no object of a caller gets here.
 * In test/contract, docker-defaults.test.ts sees each of them from the inside and by inspect, and docker-bounds.test.ts crosses the bounds.
 */
export function containerOptions(
  spec: ContainerSpec,
  name: string,
  traits: EngineTraits,
  command: string[] | undefined,
): ContainerCreateOptions {
  checkSpec(spec);
  const { container } = LIMITS;
  const isOnVolume = spec.workspaceOn === "volume";
  return {
    name,
    Image: spec.image,
    ...(command === undefined ? {} : { Entrypoint: command, Cmd: [] }),
    Labels: { ...spec.labels },
    User: `${UID}:${GID}`,
    WorkingDir: "/",
    Hostname: "sandbox",
    Tty: false,
    OpenStdin: true,
    // A server that leaves must not close the stdin that the next one needs.
    StdinOnce: false,
    AttachStdin: true,
    AttachStdout: true,
    AttachStderr: true,
    StopTimeout: 1,
    HostConfig: {
      NetworkMode: "none",
      ReadonlyRootfs: true,
      CapDrop: ["ALL"],
      SecurityOpt: ["no-new-privileges:true", `seccomp=${SECCOMP_PROFILE}`],
      Tmpfs: {
        // The engine's default is noexec and millions of inodes; compiled code and wheels are run from the workspace.
        ...(isOnVolume
          ? {}
          : {
              [WORKSPACE]: `rw,exec,nosuid,nodev,size=${spec.workspaceBytes},nr_inodes=${container.workspaceInodes},uid=${UID},gid=${GID},mode=0700`,
            }),
        "/tmp": `rw,exec,nosuid,nodev,size=${container.tmpBytes},nr_inodes=${container.tmpInodes},uid=${UID},gid=${GID},mode=1777`,
        "/mnt/shared": `rw,exec,nosuid,nodev,size=${container.sharedBytes},nr_inodes=${container.sharedInodes},uid=${UID},gid=${GID},mode=0755`,
      },
      ...(isOnVolume ? { Mounts: [workspaceVolume(spec, traits)] } : {}),
      PidsLimit: spec.pids,
      Memory: spec.memoryBytes,
      // Memory and swap together: the same number means no swap.
      MemorySwap: spec.memoryBytes,
      // Where a kernel cannot count swap, this keeps it unused; cgroup v2 has no such setting.
      ...(traits.cgroupVersion === "1" ? { MemorySwappiness: 0 } : {}),
      // An engine refuses more than its host has.
      NanoCpus: Math.round(Math.min(spec.cpus, traits.cpus) * 1e9),
      ShmSize: container.shmBytes,
      IpcMode: "private",
      Ulimits: [
        { Name: "nofile", Soft: container.openFiles, Hard: container.openFiles },
        { Name: "core", Soft: 0, Hard: 0 },
        // docs/decisions/0013: of a volume without a quota this is the only bound, a file's.
        ...(isOnVolume ? [{ Name: "fsize", Soft: spec.workspaceBytes, Hard: spec.workspaceBytes }] : []),
      ],
      // The output is the channel; a log driver would keep all of it on the host's disk.
      LogConfig: { Type: "none", Config: {} },
      RestartPolicy: { Name: "no" },
      // The supervisor is PID 1, also on an engine whose own default is an init.
      Init: false,
      // docs/decisions/0007: what a killed server leaves must vanish with its lease.
      AutoRemove: true,
      ...(spec.runtime === undefined ? {} : { Runtime: spec.runtime }),
    },
  };
}

/** Without a name, so that it is removed with its container. It begins as a copy of the image's own folder, with its owner and mode. */
function workspaceVolume(spec: ContainerSpec, traits: EngineTraits): MountSettings {
  const bound = traits.hasVolumeQuota ? { DriverConfig: { Name: "local", Options: { size: String(spec.workspaceBytes) } } } : {};
  return {
    Type: "volume",
    Source: "",
    Target: WORKSPACE,
    VolumeOptions: { NoCopy: false, Labels: { ...spec.labels }, DriverConfig: { Name: "local", Options: {} }, ...bound },
  };
}

/** The last guard before numbers become text in mount options. */
function checkSpec(spec: ContainerSpec): void {
  const isGood =
    /^[a-z0-9-]{1,40}$/.test(spec.name) &&
    spec.image !== "" &&
    [spec.memoryBytes, spec.workspaceBytes, spec.pids].every((bound) => Number.isSafeInteger(bound) && bound > 0) &&
    Number.isFinite(spec.cpus) &&
    spec.cpus > 0;
  if (!isGood)
    throw new KernelboxError("internal", "A container's spec is out of its bounds.", "Report it with the server's log from stderr.");
}
