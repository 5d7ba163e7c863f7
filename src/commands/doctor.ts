import type { App } from "../app.ts";
import type { Config } from "../config.ts";
import { KernelboxError } from "../errors.ts";
import { ownCommand } from "../own-command.ts";
import { asFlavour } from "../sandboxes/image-supply.ts";
import { VERSION } from "../version.ts";

const NODE_MIN = [20, 19] as const;
const PROBE = "import sys; print('ready'); sum(range(10))";

/** A rootless engine has only the controllers that systemd hands to its user. */
const DELEGATE =
  "sudo mkdir -p /etc/systemd/system/user@.service.d && printf '[Service]\\nDelegate=cpu cpuset io memory pids\\n' | sudo tee /etc/systemd/system/user@.service.d/delegate.conf && sudo systemctl daemon-reload, then log in again";
const ENABLE =
  "Start the kernel with cgroup_enable=memory swapaccount=1 (GRUB_CMDLINE_LINUX in /etc/default/grub, then sudo update-grub && sudo reboot).";

const QUOTA =
  "Put the engine's data-root on xfs mounted with pquota, or leave out --workspace-on, or let only code run that may fill the engine's disk.";

type Verdict = { ok: true; what: string } | { ok: false; what: string; mend: string };

/** `kernelbox doctor`: one line per check, and under each that fails the exact mend. Exit code 1 when one failed. */
export async function doctor(app: App, config: Config): Promise<number> {
  let failed = 0;
  const check = async (name: string, look: () => Promise<Verdict> | Verdict): Promise<boolean> => {
    const verdict = await Promise.resolve()
      .then(look)
      .catch((thrown): Verdict => {
        const error = KernelboxError.from(thrown);
        return { ok: false, what: error.message, mend: error.hint };
      });
    process.stdout.write(`${verdict.ok ? "ok  " : "FAIL"}  ${name}: ${verdict.what}\n`);
    if (verdict.ok) return true;
    process.stdout.write(`      mend: ${verdict.mend}\n`);
    failed++;
    return false;
  };
  await check("kernelbox", () => ({ ok: true, what: VERSION }));
  await check("node", checkNode);
  const hasEngine = await check("engine", async () => {
    const info = await app.engine.info();
    const rootless = info.rootless ? ", rootless" : "";
    return {
      ok: true,
      what: `Docker ${info.version} (API ${info.apiVersion}) at ${info.endpoint}, cgroup v${info.cgroupVersion}${rootless}`,
    };
  });
  if (!hasEngine) return 1;
  await check("seccomp", async () => {
    if ((await app.engine.info()).seccomp) return { ok: true, what: "the engine filters system calls" };
    return { ok: false, what: "the engine does not filter system calls", mend: "Use an engine and a kernel with seccomp." };
  });
  await check("bounds", async () => {
    const { unbounded, rootless } = await app.engine.info();
    if (unbounded.length === 0) return { ok: true, what: "memory, processes and processors of a sandbox are bounded" };
    return { ok: false, what: `the engine does not bound ${unbounded.join(" and ")}`, mend: rootless ? DELEGATE : ENABLE };
  });
  if (config.runtime !== undefined) {
    await check("runtime", async () => {
      const { runtimes } = await app.engine.info();
      // containerd's shims are named by their full type and are not among those that an engine lists.
      if (runtimes.includes(config.runtime ?? "") || config.runtime?.startsWith("io.containerd."))
        return { ok: true, what: `${config.runtime} is known to the engine` };
      const what = `the engine has no runtime ${config.runtime}; it has ${runtimes.join(", ")}`;
      return { ok: false, what, mend: "Install it and add it to /etc/docker/daemon.json, or leave out --runtime." };
    });
  }
  const hasImage = await check("image", async () => {
    const flavour = asFlavour(config.image);
    const ref = flavour === undefined ? config.image : await app.engine.images.refOf(flavour);
    const image = await app.engine.images.find(ref);
    if (image === undefined) return { ok: false, what: `${ref} is missing`, mend: imageMend(config) };
    // Refuses one that speaks another protocol, and says why.
    await app.images.get();
    return { ok: true, what: `${ref}, ${Math.round(image.sizeBytes / 1e6)} MB, ${image.languages.join(", ")}` };
  });
  if (!hasImage) return 1;
  await check("execution", async () => {
    const startedAt = performance.now();
    const { result } = await app.services.executions.execute({ code: PROBE }, { principal: "doctor" });
    const ms = Math.round(performance.now() - startedAt);
    if (result.status === "ok" && result.stdout.text === "ready\n" && result.result === "45")
      return { ok: true, what: `right after ${ms} ms` };
    return { ok: false, what: `ended as ${result.status}`, mend: "Run again with --log-level debug, and report what it says." };
  });
  if (config.workspaceOn === "volume") {
    // Known from the sandbox that has just been made.
    await check("workspace", () => {
      if (app.engine.capabilities.boundedWorkspace) return { ok: true, what: `on a volume of ${config.workspace} MiB` };
      const what = `on a volume without a size bound; only a file of it is bounded, to ${config.workspace} MiB`;
      return { ok: false, what, mend: QUOTA };
    });
  }
  return failed === 0 ? 0 : 1;
}

function imageMend({ image, dockerHost }: Config): string {
  if (asFlavour(image) === undefined) return `docker pull ${image}, or leave out --image`;
  return ownCommand(`setup --image ${image}${dockerHost === undefined ? "" : ` --docker-host ${dockerHost}`}`);
}

function checkNode(): Verdict {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  const isEnough = major > NODE_MIN[0] || (major === NODE_MIN[0] && minor >= NODE_MIN[1]);
  if (isEnough) return { ok: true, what: process.versions.node };
  return { ok: false, what: `${process.versions.node} is too old`, mend: `Install Node ${NODE_MIN.join(".")} or later.` };
}
