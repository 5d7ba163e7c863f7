import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import type Docker from "dockerode";
import { KernelboxError } from "../../errors.ts";
import { LIMITS } from "../../limits.ts";
import type { Log } from "../../log.ts";
import { buildLines } from "./build-line.ts";
import { answered, cancelledError, statusOf } from "./errors.ts";
import { PACKAGE_ROOT } from "./package-files.ts";

const OFFICIAL = "debian:trixie-slim";
/** Made by scripts/base-image.sh; never tagged with the official name. */
const OWN = "kernelbox/base:trixie";

/**
 * What the sandbox image is built from: the image that the user named, else Debian's official one, else one of our own, made with debootstrap where no
 * image registry can be reached.
 */
export async function baseImage(docker: Docker, log: Log, signal: AbortSignal): Promise<string> {
  const named = process.env.KERNELBOX_BASE_IMAGE;
  if (named !== undefined && named !== "") return named;
  if (await hasImage(docker, OFFICIAL)) return OFFICIAL;
  if (await pull(docker, OFFICIAL, log, signal)) return OFFICIAL;
  if (await hasImage(docker, OWN)) return OWN;
  await runScript(join(PACKAGE_ROOT, "scripts", "base-image.sh"), log, signal);
  return OWN;
}

async function hasImage(docker: Docker, ref: string): Promise<boolean> {
  try {
    await answered("looking for a base image", () => docker.getImage(ref).inspect());
    return true;
  } catch (error) {
    if (statusOf(error) === 404) return false;
    throw error;
  }
}

/** False where no registry can be reached; most machines that cannot are told so within seconds. */
async function pull(docker: Docker, ref: string, log: Log, signal: AbortSignal): Promise<boolean> {
  const stop = AbortSignal.any([signal, AbortSignal.timeout(LIMITS.baseImagePullMs)]);
  try {
    const stream = await answered("pulling the base image", () => docker.pull(ref, { abortSignal: stop }), {
      deadlineMs: LIMITS.baseImagePullMs,
    });
    for await (const line of buildLines(stream, stop)) {
      if (line.error !== undefined) throw new Error(line.error);
    }
    return true;
  } catch (error) {
    if (signal.aborted) throw cancelledError(signal.reason);
    log.info({ ref }, "the official base image cannot be pulled; one of our own is used");
    log.debug({ err: error }, "why it cannot be pulled");
    return false;
  }
}

async function runScript(script: string, log: Log, signal: AbortSignal): Promise<void> {
  if (process.getuid?.() !== 0) {
    throw new KernelboxError(
      "engine_unavailable",
      "No image registry can be reached, and only root can make a base image from Debian's packages.",
      `Run: sudo bash ${script}. Or load an image of Debian 13 and name it in KERNELBOX_BASE_IMAGE.`,
    );
  }
  log.info("no image registry can be reached; a base image is made from Debian's packages");
  try {
    await promisify(execFile)("bash", [script], {
      timeout: LIMITS.baseImageScriptMs,
      signal,
      maxBuffer: LIMITS.baseImageScriptOutputBytes,
    });
  } catch (cause) {
    if (signal.aborted) throw cancelledError(cause);
    const output = typeof cause === "object" && cause !== null && "stderr" in cause ? String(cause.stderr) : "";
    throw new KernelboxError("engine_unavailable", "The base image could not be made.", `Run it by hand to see why: sudo bash ${script}`, {
      cause,
      details: { output: output.slice(-LIMITS.engineTextCharacters) },
    });
  }
}
