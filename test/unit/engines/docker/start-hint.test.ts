import { join } from "node:path";
import { expect, test } from "vitest";
import { hostSurroundings } from "../../../../src/engines/docker/endpoint.ts";
import { PACKAGE_ROOT } from "../../../../src/engines/docker/package-files.ts";
import { startHint } from "../../../../src/engines/docker/start-hint.ts";

const SCRIPT = join(PACKAGE_ROOT, "scripts/setup.sh");
const hint = (platform: NodeJS.Platform, uid: number, ...paths: string[]) =>
  startHint({ ...hostSurroundings(), platform, uid, env: { PATH: "/bin:/usr/bin" }, exists: (path) => paths.includes(path) });

const GROUP = " && sudo usermod -aG docker $USER && newgrp docker";

test.for([
  ["macOS", "darwin", 501, [], /^Start Docker Desktop: open -a Docker\. Or Colima: brew install colima docker && colima start\./],
  ["Windows", "win32", 0, [], /docker desktop start/],
  ["systemd", "linux", 1000, ["/usr/bin/dockerd", "/run/systemd/system"], "Start it: sudo systemctl enable --now docker."],
  ["a service", "linux", 1000, ["/usr/sbin/dockerd", "/etc/init.d/docker"], "Start it: sudo service docker start."],
  ["neither", "linux", 1000, ["/usr/sbin/dockerd"], "Start it: sudo dockerd."],
  ["root of an installed package", "linux", 0, ["/usr/sbin/dockerd"], "Start it: dockerd."],
  ["root of a checkout", "linux", 0, ["/usr/sbin/dockerd", SCRIPT], `Start it: bash ${SCRIPT}.`],
  ["root of a checkout without an engine", "linux", 0, ["/usr/bin/apt-get", SCRIPT], `Start it: bash ${SCRIPT}.`],
  ["another user of a checkout", "linux", 1000, ["/usr/sbin/dockerd", SCRIPT], "Start it: sudo dockerd."],
  ["Debian", "linux", 1000, ["/usr/bin/apt-get"], `Install it: sudo apt-get install -y docker.io${GROUP}.`],
  [
    "Fedora",
    "linux",
    1000,
    ["/usr/bin/dnf", "/run/systemd/system"],
    /^Install it: sudo dnf install -y moby-engine && sudo systemctl enable/,
  ],
  ["Fedora's root", "linux", 0, ["/usr/bin/dnf", SCRIPT], "Install it: dnf install -y moby-engine && dockerd."],
  ["Arch", "linux", 1000, ["/usr/bin/pacman"], /sudo pacman -S --noconfirm docker/],
  ["another one", "linux", 1000, [], "Install Docker Engine with your package manager, and start it."],
] as const)("%s has its own command", ([, platform, uid, paths, expected]) => {
  const said = hint(platform, uid, ...paths);
  if (typeof expected === "string") expect(said).toBe(`${expected} Then try again.`);
  else expect(said).toMatch(expected);
});
