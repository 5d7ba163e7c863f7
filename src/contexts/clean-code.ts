/**
 * Models copy code from where they read it: with a Markdown fence around it, the name of its language above it, prompts before its lines. That is taken
 * off where it can be nothing else. Whatever could be code of the language is left as it is, byte for byte.
 */

export interface CleanedCode {
  code: string;
  /** What was taken off, for the reply. */
  notices: string[];
}

type Cleaned = { code: string; notice: string } | undefined;

/** What languages are called in front of code. */
const WORDS: Record<string, readonly string[]> = {
  python: ["python", "python3", "py", "ipython", "ipython3", "pycon"],
  javascript: ["javascript", "js", "jsx", "mjs"],
  typescript: ["typescript", "ts", "tsx"],
  bash: ["bash", "sh", "shell", "zsh", "console", "shell-session"],
  r: ["r"],
};

interface Prompts {
  first: RegExp;
  more: RegExp;
  /** What only a line of output begins with. */
  output?: RegExp;
}

/** No code of its language begins with `first`, or (In [1]: in Python) its kernel itself takes that for a prompt. */
const PROMPTS: Record<string, readonly Prompts[]> = {
  python: [
    { first: /^>>>(?: |$)/, more: /^\.\.\.(?: |$)/ },
    { first: /^In \[\d+\]: ?/, more: /^ {2,}\.{3,}: ?/, output: /^Out\[\d+\]:/ },
  ],
  javascript: [{ first: /^>(?: |$)/, more: /^(?:\.\.\.|\|)(?: |$)/ }],
  typescript: [{ first: /^>(?: |$)/, more: /^(?:\.\.\.|\|)(?: |$)/ }],
  bash: [{ first: /^\$(?: |$)/, more: /^>(?: |$)/ }],
  r: [{ first: /^>(?: |$)/, more: /^\+(?: |$)/, output: /^ *\[\d+\] / }],
};

export function cleanCode(code: string, language: string): CleanedCode {
  const cleaned: CleanedCode = { code, notices: [] };
  for (const clean of [withoutFence, withoutLanguageWord, withoutPrompts]) {
    const found = clean(cleaned.code, language);
    if (found === undefined || found.code.trim() === "") continue;
    cleaned.code = found.code;
    cleaned.notices.push(found.notice);
  }
  return cleaned;
}

/** Only where all of the code is one fenced block: a fence that begins a program and one that ends it are an error in every language. */
function withoutFence(code: string, language: string): Cleaned {
  const lines = code.split("\n");
  const first = lines.findIndex(isFilled);
  const last = lines.findLastIndex(isFilled);
  const opening = /^(`{3,}|~{3,})[ \t]*([^`]*)$/.exec(lines[first]?.trimEnd() ?? "");
  if (opening === null || last <= first) return undefined;
  const fence = opening[1] as string;
  const isClosing = (line: string) => /^(`+|~+)\s*$/.test(line) && line.startsWith(fence);
  if (lines.findIndex((line, index) => index > first && isClosing(line)) !== last) return undefined;
  const named = languageOf((opening[2] as string).split(/[\s{}.,]+/).find((word) => word !== ""));
  const isOther = named !== undefined && named !== language && !(isScript(named) && isScript(language));
  const other = isOther ? ` The fence says ${named}, and it ran as ${language}.` : "";
  return {
    code: lines.slice(first + 1, last).join("\n"),
    notice: `The Markdown fence around the code was left out before it ran.${other}`,
  };
}

/**
 * A first line that is only the name of the language: a bare name, which does nothing where it is known and is an error where not. Not in Bash, where
 * it is a command, and not in R, where it shows a value.
 */
function withoutLanguageWord(code: string, language: string): Cleaned {
  if (language !== "python" && !isScript(language)) return undefined;
  const lines = code.split("\n");
  const first = lines.findIndex(isFilled);
  const word = lines[first]?.trimEnd() ?? "";
  if (languageOf(word) !== language && !(isScript(language) && isScript(languageOf(word)))) return undefined;
  // In JavaScript the next line may go on with the expression; one that begins with a name or a quote does not.
  const next = lines.slice(first + 1).find((line) => isFilled(line) && !/^\s*\/\//.test(line));
  if (isScript(language) && !/^\s*(?!(?:in|instanceof|as|satisfies)\b)[\w$"']/.test(next ?? "")) return undefined;
  return { code: lines.slice(first + 1).join("\n"), notice: `The first line, only "${word}", was left out before the code ran.` };
}

function withoutPrompts(code: string, language: string): Cleaned {
  const lines = code.split("\n");
  const begin = lines.find(isFilled) ?? "";
  const prompts = PROMPTS[language]?.find(({ first }) => first.test(begin));
  if (prompts === undefined) return undefined;
  const kinds = kindsOf(lines, prompts);
  const bare = lines.filter((_, index) => kinds[index] === "bare");
  const isTranscript = kinds.filter((kind) => kind === "first").length > 1 || bare.some((line) => prompts.output?.test(line));
  const hasOutput = isTranscript && bare.length > 0;
  // IPython takes prompts off by itself, but takes what was printed between them for code.
  if (language === "python" && !hasOutput) return undefined;
  // Between a shell's prompts there may be a here-document as well as output.
  if (language === "bash" && hasOutput) return undefined;
  // A block or a text that goes on without prompts.
  if (hasOutput && lines.some((line, index) => kinds[index + 1] === "bare" && kinds[index] !== "bare" && goesOn(line))) return undefined;
  const stripped = lines.flatMap((line, index) => {
    const kind = kinds[index];
    if (kind === "bare" && hasOutput) return [];
    return kind === "first" || kind === "more" ? [line.replace(prompts[kind], "")] : [line];
  });
  const output = hasOutput ? `, and ${bare.length} lines without one, taken for output,` : "";
  return { code: stripped.join("\n"), notice: `Prompts before the code's lines${output} were left out before it ran.` };
}

function kindsOf(lines: string[], prompts: Prompts): ("first" | "more" | "blank" | "bare")[] {
  let isPrompted = false;
  return lines.map((line) => {
    const text = line.trimEnd();
    const kind = prompts.first.test(text) ? "first" : isPrompted && prompts.more.test(text) ? "more" : isFilled(line) ? "bare" : "blank";
    isPrompted = kind === "first" || kind === "more";
    return kind;
  });
}

function goesOn(line: string): boolean {
  const text = line.trimEnd();
  return /[:([{,\\]$/.test(text) || ['"""', "'''", "`"].some((quote) => text.split(quote).length % 2 === 0);
}

function languageOf(word: string | undefined): string | undefined {
  const lower = word?.toLowerCase() ?? "";
  return Object.keys(WORDS).find((language) => WORDS[language]?.includes(lower));
}

/** JavaScript and TypeScript are called by each other's names. */
function isScript(language: string | undefined): boolean {
  return language === "javascript" || language === "typescript";
}

function isFilled(line: string): boolean {
  return line.trim() !== "";
}
