import type { ContainerCreateOptions, MountSettings } from "dockerode";
import { KernelboxError } from "../../errors.ts";
import { LIMITS } from "../../limits.ts";
import type { ContainerSpec } from "../engine.ts";
import type { EngineTraits } from "./connection.ts";
import { isGoodMembership, networkOptions } from "./container-network.ts";
import { SECCOMP_PROFILE } from "./seccomp.ts";

const UID = 1000;
const GID = 1000;
const WORKSPACE = "/home/user";
const CACHE = "/var/cache/kernelbox";

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
  const { NetworkingConfig, ...networked } = networkOptions(spec.network);
  const { program = "supervisor" } = spec;
  const entry = command ?? (program === "supervisor" ? undefined : programCommand(program));
  const mounts = [
    ...(isOnVolume ? [workspaceVolume(spec, traits)] : []),
    ...(spec.cacheVolume === undefined ? [] : [cacheVolume(spec.cacheVolume)]),
  ];
  return {
    name,
    Image: spec.image,
    ...(entry === undefined ? {} : { Entrypoint: entry, Cmd: [] }),
    ...(NetworkingConfig === undefined ? {} : { NetworkingConfig }),
    ...(spec.env === undefined ? {} : { Env: Object.entries(spec.env).map(([key, value]) => `${key}=${value}`) }),
    Labels: { ...spec.labels },
    User: `${UID}:${GID}`,
    WorkingDir: "/",
    Hostname: "sandbox",
    Tty: false,
    OpenStdin: true,
    // A server that leaves must not close the stdin that the next one needs; what serves that one server ends with it.
    StdinOnce: program !== "supervisor",
    AttachStdin: true,
    AttachStdout: true,
    AttachStderr: true,
    StopTimeout: 1,
    HostConfig: {
      ...networked,
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
      ...(mounts.length === 0 ? {} : { Mounts: mounts }),
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

/** Python's isolated mode: nothing in a workspace is imported. */
function programCommand(program: string): string[] {
  return ["/opt/py/bin/python", "-I", "-m", `kernelbox.${program}`];
}

/** A new one begins as a copy of the image's own folder, with its owner and mode. */
function cacheVolume(name: string): MountSettings {
  const options = { NoCopy: false, Labels: { "kernelbox.cache": "packages" }, DriverConfig: { Name: "local", Options: {} } };
  return { Type: "volume", Source: name, Target: CACHE, VolumeOptions: options };
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
    spec.cpus > 0 &&
    isGoodMembership(spec.network) &&
    Object.entries(spec.env ?? {}).every(([key, value]) => /^[A-Za-z_]{1,64}$/.test(key) && /^[ -~]{0,256}$/.test(value)) &&
    /^[a-z0-9-]{1,64}$/.test(spec.cacheVolume ?? "none");
  if (!isGood)
    throw new KernelboxError("internal", "A container's spec is out of its bounds.", "Report it with the server's log from stderr.");
}
