import type { App } from "../app.ts";
import type { Config } from "../config.ts";
import { asFlavour } from "../sandboxes/image-supply.ts";

/** `kernelbox setup`: the image of the configured flavour, built now if it is missing. */
export async function setup(app: App, config: Config): Promise<number> {
  const { images } = app.engine;
  const flavour = asFlavour(config.image);
  if (flavour === undefined) {
    process.stdout.write(`${config.image} is an image of your own; there is nothing to build.\n`);
    return 0;
  }
  const ref = await images.refOf(flavour);
  if ((await images.find(ref)) !== undefined) {
    process.stdout.write(`${ref} is there.\n`);
    return 0;
  }
  process.stdout.write(`Building ${ref}; the first time this takes some minutes.\n`);
  const startedAt = Date.now();
  const seconds = () => Math.round((Date.now() - startedAt) / 1_000);
  let said = "";
  const image = await images.build(flavour, ({ percent, step }) => {
    if (step === said) return;
    said = step;
    process.stdout.write(`  ${String(Math.floor(percent)).padStart(3)} %  ${seconds()} s  ${step}\n`);
  });
  process.stdout.write(`Built ${ref}: ${Math.round(image.sizeBytes / 1e6)} MB in ${seconds()} s.\n`);
  return 0;
}
