import type Docker from "dockerode";
import { KernelboxError } from "../../errors.ts";
import { LIMITS } from "../../limits.ts";
import { ownCommand } from "../../own-command.ts";
import type { BuildProgress, ImageFlavour } from "../engine.ts";
import { type ContextFile, contextArchive } from "./build-context.ts";
import { type BuildLine, buildLines } from "./build-line.ts";
import { answered, cancelledError, engineError } from "./errors.ts";
import { IMAGE_PROTOCOL } from "./image-version.ts";

/** What comes before and after the steps has a share of the percents. */
const STEPS_FROM = 5;
const STEPS_TO = 97;

export interface BuildPlan {
  ref: string;
  flavour: ImageFlavour;
  base: string;
  files: ContextFile[];
  version: string;
  /** Where packages come from, as build arguments. */
  indexes: Record<string, string>;
}

export interface BuildCallbacks {
  onProgress: (progress: BuildProgress) => void;
  /** The image that a stage ended with: what the engine's cache consists of. */
  onStage: (imageId: string) => void;
  signal: AbortSignal;
}

export async function runBuild(
  docker: Docker,
  plan: BuildPlan,
  callbacks: BuildCallbacks,
  deadlineMs: number = LIMITS.imageBuildMs,
): Promise<void> {
  const deadline = AbortSignal.timeout(deadlineMs);
  // Ending the request makes the engine give the build up.
  const stop = AbortSignal.any([deadline, callbacks.signal]);
  const follower = new BuildFollower(plan.flavour, callbacks);
  try {
    const options = { t: plan.ref, target: plan.flavour, buildargs: buildArguments(plan), rm: true, forcerm: true, abortSignal: stop };
    const archive = contextArchive(plan.files) as unknown as NodeJS.ReadableStream;
    const stream = await answered("starting a build", () => docker.buildImage(archive, options), { deadlineMs: LIMITS.createMs });
    for await (const line of buildLines(stream, stop)) follower.take(line);
    follower.end();
  } catch (error) {
    // What a broken build has made so far is cache as well.
    follower.end();
    if (callbacks.signal.aborted) throw cancelledError(callbacks.signal.reason);
    if (deadline.aborted) throw follower.failure(`it took more than ${Math.round(deadlineMs / 1_000)} s`);
    throw engineError(error, "building the sandbox image");
  }
}

function buildArguments({ base, version, indexes }: BuildPlan): Record<string, string> {
  return { BASE: base, PROTOCOL: String(IMAGE_PROTOCOL), VERSION: version, ...indexes };
}

/** Turns the builder's lines into progress, stages and, where a step fails, an error. */
class BuildFollower {
  readonly #flavour: ImageFlavour;
  readonly #callbacks: BuildCallbacks;
  #step = "before the first step";
  #imageId: string | undefined;
  #output = "";

  constructor(flavour: ImageFlavour, callbacks: BuildCallbacks) {
    this.#flavour = flavour;
    this.#callbacks = callbacks;
  }

  take({ stream = "", error }: BuildLine): void {
    this.#output = (this.#output + stream + (error ?? "")).slice(-LIMITS.buildTextCharacters);
    if (error !== undefined) throw this.failure("a step failed");
    this.#imageId = /^ ---> ([0-9a-f]{12,64})\s*$/.exec(stream)?.[1] ?? this.#imageId;
    const step = /^Step (\d+)\/(\d+) : ([A-Z]+)/.exec(stream);
    if (step === null) return;
    if (step[3] === "FROM") this.end();
    this.#step = `step ${step[1]} of ${step[2]}, ${step[3]}`;
    const percent = STEPS_FROM + ((STEPS_TO - STEPS_FROM) * (Number(step[1]) - 1)) / Number(step[2]);
    this.#callbacks.onProgress({ percent, step: this.#step });
  }

  /** A stage has ended. */
  end(): void {
    if (this.#imageId !== undefined) this.#callbacks.onStage(this.#imageId);
    this.#imageId = undefined;
  }

  failure(why: string): KernelboxError {
    return new KernelboxError(
      "engine_unavailable",
      `The sandbox image could not be built: ${why} (${this.#step}).`,
      `What the build said is in the details and in the log. Build it again: ${ownCommand(`setup --image ${this.#flavour}`)}`,
      { details: { output: this.#output } },
    );
  }
}
