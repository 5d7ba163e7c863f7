import type Docker from "dockerode";
import { LIMITS } from "../../limits.ts";
import type { Log } from "../../log.ts";
import { answered } from "./errors.ts";

const CACHE_REPOSITORY = "kernelbox/build-cache";

/**
 * Stages that are no flavour stay behind a build as the cache of the next one, some gigabytes without a name. They get a name per flavour and stage,
 * and what bore that name before is removed: one generation of cache stays, however often the image is built.
 */
export async function keepBuildCache(docker: Docker, flavour: string, stages: string[], isComplete: boolean, log: Log): Promise<void> {
  try {
    const before = await taggedImages(docker, `${CACHE_REPOSITORY}:${flavour}-`);
    const named = new Set<string>();
    for (const [index, stage] of stages.entries()) {
      const tag = `${flavour}-${index + 1}`;
      await answered("naming a stage", () => docker.getImage(stage).tag({ repo: CACHE_REPOSITORY, tag }));
      named.add(`${CACHE_REPOSITORY}:${tag}`);
    }
    for (const [tag, id] of before) {
      if (named.has(tag)) await removeNameless(docker, id, log);
      // After a build that failed half-way, the later stages of the one before are still worth keeping.
      else if (isComplete) await removeImage(docker, tag, log);
    }
  } catch (error) {
    log.warn({ err: error }, "what a build left behind could not be put in order");
  }
}

/** The stage of one flavour may be the image, or a stage, of another; then it bears another name and stays. */
async function removeNameless(docker: Docker, id: string, log: Log): Promise<void> {
  const image = await answered("looking at an older stage", () => docker.getImage(id).inspect());
  if ((image.RepoTags ?? []).length === 0) await removeImage(docker, id, log);
}

/** Earlier versions of a flavour would pile up. The engine refuses to remove one that a container uses, so that one stays until the next build. */
export async function removeOlderImages(docker: Docker, prefix: string, keep: string, log: Log): Promise<void> {
  try {
    for (const tag of (await taggedImages(docker, prefix)).keys()) if (tag !== keep) await removeImage(docker, tag, log);
  } catch (error) {
    log.warn({ err: error }, "older images could not be removed");
  }
}

/** Tags of one flavour: what follows it has no dash, or it would be another flavour's whose name begins alike. */
async function taggedImages(docker: Docker, prefix: string): Promise<Map<string, string>> {
  const images = await answered("listing images", () => docker.listImages({ filters: { reference: [`${prefix}*`] } }));
  const tags = images.flatMap((image) => (image.RepoTags ?? []).map((tag): [string, string] => [tag, image.Id]));
  return new Map(tags.filter(([tag]) => tag.startsWith(prefix) && !tag.slice(prefix.length).includes("-")));
}

async function removeImage(docker: Docker, ref: string, log: Log): Promise<void> {
  const removal = answered("removing an older image", () => docker.getImage(ref).remove(), { deadlineMs: LIMITS.createMs });
  await removal.catch((error) => log.debug({ err: error, ref }, "an older image stays"));
}
