import type { Config } from "../config.ts";
import { createDockerEngine } from "../engines/docker/index.ts";
import type { Log } from "../log.ts";

/** `kernelbox setup`: the image of the configured flavour, built now if it is missing. */
export async function setUpImage(config: Config, log: Log): Promise<number> {
  const engine = createDockerEngine({ log, endpoint: config.dockerHost });
  if (config.image !== "core" && config.image !== "full") {
    process.stdout.write(`${config.image} is an image of your own; there is nothing to build.\n`);
    return 0;
  }
  const ref = await engine.images.refOf(config.image);
  if ((await engine.images.find(ref)) !== undefined) {
    process.stdout.write(`${ref} is there.\n`);
    return 0;
  }
  process.stdout.write(`Building ${ref}; the first time this takes some minutes.\n`);
  const startedAt = Date.now();
  let said = "";
  const image = await engine.images.build(config.image, ({ percent, step }) => {
    if (step === said) return;
    said = step;
    process.stdout.write(`  ${String(Math.floor(percent)).padStart(3)} %  ${Math.round((Date.now() - startedAt) / 1_000)} s  ${step}\n`);
  });
  process.stdout.write(`Built ${ref}: ${Math.round(image.sizeBytes / 1e6)} MB in ${Math.round((Date.now() - startedAt) / 1_000)} s.\n`);
  return 0;
}
