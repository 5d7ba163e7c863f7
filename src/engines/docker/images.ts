import type Docker from "dockerode";
import { KernelboxError } from "../../errors.ts";
import type { Log } from "../../log.ts";
import { ownCommand } from "../../own-command.ts";
import { packageIndexes } from "../../package-indexes.ts";
import type { BuildProgress, ImageFlavour, ImageInfo, Images } from "../engine.ts";
import { baseImage } from "./base-image.ts";
import { runBuild } from "./build.ts";
import { type ContextFile, contextFiles } from "./build-context.ts";
import { keepBuildCache, removeOlderImages } from "./build-leftovers.ts";
import { answered } from "./errors.ts";
import { labelledInfo } from "./image-labels.ts";
import { contentVersion } from "./image-version.ts";
import { SharedWork } from "./shared-work.ts";

export const REPOSITORY = "kernelbox/sandbox";

/** Images of this version of Kernelbox, named by the content that they are built from: a changed file is another image. */
export class DockerImages implements Images {
  readonly #docker: () => Promise<Docker>;
  readonly #log: Log;
  readonly #builds = new Map<string, SharedWork<ImageInfo, BuildProgress>>();

  constructor(docker: () => Promise<Docker>, log: Log) {
    this.#docker = docker;
    this.#log = log;
  }

  async refOf(flavour: ImageFlavour): Promise<string> {
    return refFor(flavour, await contextFiles());
  }

  async find(ref: string): Promise<ImageInfo | undefined> {
    const docker = await this.#docker();
    try {
      const image = await answered("looking for an image", () => docker.getImage(ref).inspect());
      return { ref, id: image.Id, ...labelledInfo(image.Config.Labels), sizeBytes: image.Size };
    } catch (error) {
      if (error instanceof KernelboxError && error.code === "not_found") return undefined;
      throw error;
    }
  }

  async build(flavour: ImageFlavour, onProgress: (progress: BuildProgress) => void, signal?: AbortSignal): Promise<ImageInfo> {
    const files = await contextFiles();
    const ref = refFor(flavour, files);
    let build = this.#builds.get(ref);
    if (build === undefined || build.isGivenUp) {
      const begun = new SharedWork<ImageInfo, BuildProgress>((tell, abort) => this.#build(flavour, ref, files, tell, abort));
      build = begun;
      this.#builds.set(ref, begun);
      void begun.settled.then(() => this.#builds.get(ref) === begun && this.#builds.delete(ref));
    }
    return await build.join(onProgress, signal);
  }

  async #build(
    flavour: ImageFlavour,
    ref: string,
    files: ContextFile[],
    onProgress: (progress: BuildProgress) => void,
    signal: AbortSignal,
  ): Promise<ImageInfo> {
    const docker = await this.#docker();
    onProgress({ percent: 1, step: "finding a base image" });
    const base = await baseImage(docker, this.#log, signal);
    const stages: string[] = [];
    let isComplete = false;
    try {
      const plan = { ref, flavour, base, files, version: contentVersion(files), indexes: await packageIndexes() };
      await runBuild(docker, plan, { onProgress, onStage: (imageId) => stages.push(imageId), signal });
      isComplete = true;
      // The last stage is the image itself, which has its own name.
      stages.pop();
    } finally {
      await keepBuildCache(docker, flavour, stages, isComplete, this.#log);
    }
    const built = await this.find(ref);
    if (built === undefined) {
      throw new KernelboxError(
        "engine_unavailable",
        "The engine has no sandbox image after its build.",
        `Build it again: ${ownCommand(`setup --image ${flavour}`)}`,
      );
    }
    await removeOlderImages(docker, `${REPOSITORY}:${flavour}-`, ref, this.#log);
    onProgress({ percent: 100, step: "done" });
    return built;
  }
}

function refFor(flavour: ImageFlavour, files: ContextFile[]): string {
  return `${REPOSITORY}:${flavour}-${contentVersion(files)}`;
}
