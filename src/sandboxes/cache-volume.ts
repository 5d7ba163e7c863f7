import { createHash } from "node:crypto";
import type { Owner } from "../store/owner.ts";

/**
 * Name of the volume with what was downloaded for a principal. The engine may serve several hosts and users, who do not share what they fetch: the
 * servers of one user keep their folders in one place.
 */
export function cacheVolumeOf(principal: string, { host, root }: Pick<Owner, "host" | "root">): string {
  const whose = [host, root, principal].join("\0");
  return `kernelbox-packages-${createHash("sha256").update(whose).digest("hex").slice(0, 32)}`;
}
