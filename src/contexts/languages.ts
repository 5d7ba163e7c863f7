import { KernelboxError } from "../errors.ts";
import { ownCommand } from "../own-command.ts";
import { asFlavour, type ImageFlavour } from "../sandboxes/image-supply.ts";

/** What a language's kernel can and cannot do. */
export interface Language {
  /** What runs it, and what a caller would not expect. */
  about: string;
  /** Variables that an interrupt does not save: what the code does then. Undefined where an interrupt always leaves the kernel alive. */
  killedIn?: string | undefined;
  /** How code sets its environment, where `env` for one execution cannot be given; undefined where it can. */
  setsEnvBy?: string | undefined;
  /** Charts that come back as pictures. */
  hasPictures: boolean;
  /** The value of the last expression comes back. */
  hasResult: boolean;
  /** Names in code can be completed, and inspected; a kernel that cannot answers as if there were none. */
  completes: boolean;
  inspects: boolean;
  /** Errors bear the lines that led to them. */
  hasTraceback: boolean;
}

const deno = {
  killedIn: "an await or a child process",
  setsEnvBy: "Deno.env.set(name, value)",
  hasPictures: true,
  hasResult: true,
  hasTraceback: true,
  completes: true,
  inspects: false,
} satisfies Partial<Language>;

/** One table of the languages that an image may have: the tools tell it, and test/e2e/languages.test.ts holds the kernels to it. */
export const LANGUAGES = {
  python: { about: "IPython", hasPictures: true, hasResult: true, hasTraceback: true, completes: true, inspects: true },
  javascript: { ...deno, about: "Deno" },
  typescript: { ...deno, about: "Deno, types are not checked" },
  bash: {
    about: "an exit code that is not 0 is an error",
    hasPictures: false,
    hasResult: false,
    hasTraceback: false,
    completes: false,
    inspects: false,
  },
  r: {
    about: "IRkernel",
    setsEnvBy: "Sys.setenv()",
    hasPictures: true,
    hasResult: true,
    hasTraceback: true,
    completes: true,
    inspects: true,
  },
} as const satisfies Record<string, Language>;

export type LanguageName = keyof typeof LANGUAGES;
export const LANGUAGE_NAMES = Object.keys(LANGUAGES) as [LanguageName, ...LanguageName[]];

/** What each flavour of the image has; the Dockerfile's labels say the same. */
export const FLAVOUR_LANGUAGES: Record<ImageFlavour, readonly LanguageName[]> = {
  core: ["python", "bash"],
  full: ["python", "javascript", "typescript", "bash"],
  "full-r": ["python", "javascript", "typescript", "bash", "r"],
};

/** The languages to offer with a configured image: what is in its flavour, and where it is a reference whatever could be in it. */
export function languagesOf(image: string): readonly LanguageName[] {
  const flavour = asFlavour(image);
  return flavour === undefined ? LANGUAGE_NAMES : FLAVOUR_LANGUAGES[flavour];
}

/** A sentence on each of the languages, for a model that chooses one. */
export function languageNotes(names: readonly LanguageName[]): string {
  return names.map((name) => `${name} (${notes(name)})`).join(", ");
}

function notes(name: LanguageName): string {
  const language: Language = LANGUAGES[name];
  const parts = [language.about];
  if (language.setsEnvBy !== undefined) parts.push(`no env per run: ${language.setsEnvBy}`);
  if (language.killedIn !== undefined) parts.push(`stopping it in ${language.killedIn} loses variables`);
  return parts.join("; ");
}

/** A language that the sandbox's image lacks: which flavour has it, and how to come by that. */
export function missingLanguage(name: string, has: readonly string[]): KernelboxError {
  const flavour = (Object.keys(FLAVOUR_LANGUAGES) as ImageFlavour[]).find((each) =>
    FLAVOUR_LANGUAGES[each].some((language) => language === name),
  );
  const other = `Use one of: ${has.join(", ")}.`;
  const hint =
    flavour === undefined
      ? other
      : `It is in the image flavour ${flavour}: build that with ${ownCommand(`setup --image ${flavour}`)}, then start the server with --image ${flavour}. Or use another language. ${other}`;
  return new KernelboxError("unsupported", `This sandbox's image does not have ${known(name)}.`, hint);
}

/** `unsupported` where variables are given for one execution of a language whose kernel cannot take them. */
export function checkExecutionEnv(name: string, env: Record<string, string> | undefined): void {
  const language: Language | undefined = LANGUAGES[name as LanguageName];
  if (language?.setsEnvBy === undefined || env === undefined || Object.keys(env).length === 0) return;
  throw new KernelboxError(
    "unsupported",
    `${name} cannot take environment variables for one execution.`,
    `Set them in the code with ${language.setsEnvBy}, or give env to create_context and use that context.`,
  );
}

function known(name: string): string {
  return name in LANGUAGES ? name : "that language";
}
