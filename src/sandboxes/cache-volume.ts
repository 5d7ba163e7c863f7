import { createHash } from "node:crypto";
import { userInfo } from "node:os";

/** Name of the volume with what was downloaded for a principal. The engine may serve several hosts and users, who do not share what they fetch. */
export function cacheVolumeOf(principal: string, host: string): string {
  const whose = [host, userInfo().username, principal].join("\0");
  return `kernelbox-packages-${createHash("sha256").update(whose).digest("hex").slice(0, 32)}`;
}
