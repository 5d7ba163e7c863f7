/** The exact next step where no engine answers, by platform. */
export function startHint(platform: NodeJS.Platform = process.platform): string {
  if (platform === "darwin") return "Start Docker Desktop: open -a Docker. Or Colima: colima start. Then try again.";
  if (platform === "win32") return "Start Docker Desktop from the Start menu, or with: docker desktop start. Then try again.";
  return "Start it: sudo systemctl start docker. Where it is missing: sudo apt-get install docker.io. Then try again.";
}
