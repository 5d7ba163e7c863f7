import { FLAVOUR_LANGUAGES, type LanguageName } from "../../src/contexts/languages.ts";
import { asFlavour } from "../../src/sandboxes/image-supply.ts";
import { TEST_IMAGE } from "./client.ts";
import { dockerEngine } from "./docker.ts";

/** The image that tests of a language run in: the one that all tests run in, or, for R, one that KERNELBOX_TEST_IMAGE_R names or that was built. */
export async function imageFor(language: LanguageName): Promise<{ ref: string; missing: string | undefined }> {
  const { images } = dockerEngine();
  const named = process.env.KERNELBOX_TEST_IMAGE_R;
  const candidates = language === "r" ? [TEST_IMAGE, ...(named ? [named] : []), "full-r"] : [TEST_IMAGE];
  for (const candidate of candidates) {
    const flavour = asFlavour(candidate);
    const ref = flavour === undefined ? candidate : await images.refOf(flavour);
    const found = await images.find(ref);
    if (found?.languages.includes(language)) return { ref, missing: undefined };
  }
  const flavour = Object.entries(FLAVOUR_LANGUAGES).find(([, has]) => has.includes(language))?.[0];
  const where = flavour === undefined ? "no flavour has it yet" : `build it: node dist/main.js setup --image ${flavour}`;
  return { ref: "", missing: `none of the images ${candidates.join(", ")} has ${language}; ${where}` };
}
