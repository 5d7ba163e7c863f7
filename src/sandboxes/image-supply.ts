import { PROTOCOL_VERSION } from "../channel/frames.ts";
import { type BuildProgress, type Engine, IMAGE_FLAVOURS, type ImageFlavour, type ImageInfo } from "../engines/engine.ts";
import { KernelboxError } from "../errors.ts";
import type { Log } from "../log.ts";
import { ownCommand } from "../own-command.ts";

const RETRY_AFTER_S = { building: 15, failed: 60 };

/**
 * The image that sandboxes are made from. A missing flavour is built in the background, once; meanwhile callers learn how far it is and when to
 * try again. An image that was named by the user is never built, and one of another protocol version is never started.
 */
export class ImageSupply {
  readonly #engine: Engine;
  readonly #image: string;
  readonly #log: Log;
  readonly #abort = new AbortController();
  #ready: ImageInfo | undefined;
  #building: { progress: BuildProgress; startedAt: number; done: Promise<void> } | undefined;
  #failed: { error: KernelboxError; at: number } | undefined;

  /** `image` is a flavour (`core`, `full`, `full-r`) or a reference. */
  constructor(engine: Engine, image: string, log: Log) {
    this.#engine = engine;
    this.#image = image;
    this.#log = log;
  }

  /** The image, or `engine_unavailable` with what to do until it is there. */
  async get(): Promise<ImageInfo> {
    const found = this.#ready ?? (await this.find());
    if (found !== undefined) return found;
    const flavour = asFlavour(this.#image);
    if (flavour === undefined) {
      throw new KernelboxError(
        "engine_unavailable",
        `The engine has no image ${this.#image}.`,
        `Get it: docker pull ${this.#image}. Or leave out --image.`,
      );
    }
    throw this.#buildError(flavour);
  }

  /** The image as the engine has it now; nothing is built where it has none. */
  async find(): Promise<ImageInfo | undefined> {
    const flavour = asFlavour(this.#image);
    const ref = flavour === undefined ? this.#image : await this.#engine.images.refOf(flavour);
    const found = await this.#engine.images.find(ref);
    this.forget();
    if (found !== undefined) this.#ready = checked(found, flavour);
    return this.#ready;
  }

  /** Forgets what it knew: the image was removed under our feet. */
  forget(): void {
    this.#ready = undefined;
  }

  async close(): Promise<void> {
    this.#abort.abort();
    await this.#building?.done;
  }

  #buildError(flavour: ImageFlavour): KernelboxError {
    if (this.#failed !== undefined && Date.now() - this.#failed.at < RETRY_AFTER_S.failed * 1_000) return this.#failed.error;
    this.#building ??= this.#startBuild(flavour);
    const { progress, startedAt } = this.#building;
    const seconds = Math.round((Date.now() - startedAt) / 1_000);
    return new KernelboxError(
      "engine_unavailable",
      `The sandbox image is being built: ${Math.floor(progress.percent)} % after ${seconds} s (${progress.step}).`,
      `Call again in ${RETRY_AFTER_S.building} s; nothing else is needed. The first build takes some minutes.`,
      { details: { percent: Math.floor(progress.percent), retry_after_s: RETRY_AFTER_S.building } },
    );
  }

  #startBuild(flavour: ImageFlavour): { progress: BuildProgress; startedAt: number; done: Promise<void> } {
    const build = { progress: { percent: 0, step: "starting" }, startedAt: Date.now(), done: Promise.resolve() };
    this.#log.info({ flavour }, "building the sandbox image in the background");
    build.done = this.#engine.images
      .build(
        flavour,
        (progress) => {
          build.progress = progress;
        },
        this.#abort.signal,
      )
      .then(
        (image) => this.#log.info({ ref: image.ref }, "sandbox image built"),
        (thrown) => {
          const error = KernelboxError.from(thrown);
          this.#failed = { error, at: Date.now() };
          this.#log.error({ err: error, details: error.details }, "the sandbox image could not be built");
        },
      )
      .finally(() => {
        this.#building = undefined;
      });
    return build;
  }
}

export type { ImageFlavour };

/** The flavour that a setting names; undefined where it is a reference. */
export function asFlavour(image: string): ImageFlavour | undefined {
  return IMAGE_FLAVOURS.find((flavour) => flavour === image);
}

function checked(image: ImageInfo, flavour: ImageFlavour | undefined): ImageInfo {
  if (image.protocol === PROTOCOL_VERSION) return image;
  throw new KernelboxError(
    "engine_unavailable",
    `The image ${image.ref} speaks protocol ${image.protocol || "unknown"}; this server speaks ${PROTOCOL_VERSION}.`,
    flavour === undefined
      ? "Build it anew from the Dockerfile of this version, or leave out --image."
      : `Remove it and build it anew: docker rmi ${image.ref} && ${ownCommand(`setup --image ${flavour}`)}`,
  );
}
