import { join } from "node:path";
import { type Endpoint, hostSurroundings, type Surroundings } from "./endpoint.ts";
import { PACKAGE_ROOT } from "./package-files.ts";

/** By the program that installs packages: what brings an engine, and whether it starts by itself then. */
const PACKAGES: Record<string, string> = {
  "apt-get": "apt-get install -y docker.io",
  dnf: "dnf install -y moby-engine",
  pacman: "pacman -S --noconfirm docker",
  zypper: "zypper install -y docker",
  apk: "apk add docker",
};

/** The exact next step where no engine answers, for this machine. scripts/engine.sh says the same. */
export function startHint(around: Surroundings = hostSurroundings()): string {
  return `${nextStep(around)} Then try again.`;
}

function nextStep(around: Surroundings): string {
  const { platform, uid, exists } = around;
  if (platform === "darwin") return "Start Docker Desktop: open -a Docker. Or Colima: brew install colima docker && colima start.";
  if (platform === "win32") return "Start Docker Desktop from the Start menu, or with: docker desktop start.";
  const sudo = uid === 0 ? "" : "sudo ";
  const isInstalled = has("dockerd", around);
  const script = join(PACKAGE_ROOT, "scripts/setup.sh");
  // In a checkout there is a script that does it, for root, also where nothing else would start an engine.
  if (uid === 0 && exists(script) && (isInstalled || has("apt-get", around))) return `Start it: bash ${script}.`;
  if (isInstalled) return `Start it: ${sudo}${startCommand(around)}.`;
  const installer = Object.keys(PACKAGES).find((program) => has(program, around));
  if (installer === undefined) return "Install Docker Engine with your package manager, and start it.";
  const access = uid === 0 ? "" : " && sudo usermod -aG docker $USER && newgrp docker";
  // Debian's packages start what they bring; the others do not.
  const start = installer === "apt-get" ? "" : ` && ${sudo}${startCommand(around)}`;
  return `Install it: ${sudo}${PACKAGES[installer]}${start}${access}.`;
}

/** How the engine of this machine is started anew, as the end of a sentence. */
export function restartHint(around: Surroundings = hostSurroundings()): string {
  const { platform, uid, exists } = around;
  if (platform !== "linux") return "restart Docker Desktop, or: colima restart.";
  const sudo = uid === 0 ? "" : "sudo ";
  if (exists("/run/systemd/system")) return `restart it: ${sudo}systemctl restart docker.`;
  return exists("/etc/init.d/docker") ? `restart it: ${sudo}service docker restart.` : "stop dockerd, and start it again.";
}

/** What helps where an engine was named outright and nobody answers there. */
export function namedHint({ from, address }: Endpoint, around: Surroundings): string {
  if (from === undefined || ("socketPath" in address && address.socketPath === "/var/run/docker.sock")) return startHint(around);
  const instead = {
    "--docker-host": "leave out --docker-host",
    DOCKER_HOST: "unset DOCKER_HOST",
    "Docker context": "docker context use default",
  }[from];
  return `Start the engine there, or take the usual one: ${instead}. Then try again.`;
}

/** Where there is neither systemd nor a service, as in a container, the daemon itself. */
function startCommand({ exists }: Surroundings): string {
  if (exists("/run/systemd/system")) return "systemctl enable --now docker";
  return exists("/etc/init.d/docker") ? "service docker start" : "dockerd";
}

/** The folders of root's programs are on few users' PATH. */
function has(program: string, { env, exists }: Surroundings): boolean {
  return [...(env.PATH ?? "").split(":"), "/usr/sbin", "/sbin"].some((folder) => folder !== "" && exists(join(folder, program)));
}
