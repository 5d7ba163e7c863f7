import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { cleanCode } from "../../../src/contexts/clean-code.ts";

const ROOT = resolve(import.meta.dirname, "../../..");
const F = "```";

describe("what is around the code is taken off", () => {
  it.each<[string, string, string, string]>([
    ["a fence with the language", "python", `${F}python\nprint(1)\n${F}`, "print(1)"],
    ["a fence without", "python", `${F}\nprint(1)\n${F}`, "print(1)"],
    ["a fence of tildes", "r", "~~~r\nx <- 1\n~~~", "x <- 1"],
    ["a longer fence around a shorter one", "python", `${F}\`python\ns = '''\n${F}\n'''\n${F}\``, `s = '''\n${F}\n'''`],
    ["a fence with attributes", "r", `${F}{r, echo=FALSE}\nx\n${F}`, "x"],
    ["a fence between blank lines", "bash", `\n  \n${F}bash\nls\n${F}\n\n`, "ls"],
    ["a fence with Windows' line ends", "python", `${F}python\r\nprint(1)\r\n${F}\r\n`, "print(1)\r"],
    ["blank lines and indentation within stay", "python", `${F}py\n\n  x = 1\n\n${F}`, "\n  x = 1\n"],
    ["a fence around template literals", "javascript", `${F}js\nconst a = \`b\`;\n${F}`, "const a = `b`;"],
    ["the language alone on the first line", "python", "python\nprint(1)", "print(1)"],
    ["the language in another case", "python", "\nPython3 \r\nprint(1)", "print(1)"],
    ["TypeScript's name for JavaScript", "javascript", "ts\n// a comment\nlet x = 1", "// a comment\nlet x = 1"],
    ["the language within a fence", "python", `${F}\npython\nx\n${F}`, "x"],
    ["a shell's prompt", "bash", "$ ls -l", "ls -l"],
    ["a shell's prompts", "bash", "$ for i in 1 2; do\n> echo $i\n> done\n\n$ pwd", "for i in 1 2; do\necho $i\ndone\n\npwd"],
    ["a shell's one prompt before a here-document", "bash", "$ cat <<EOF\nhi\nEOF", "cat <<EOF\nhi\nEOF"],
    [
      "a session of Python with its output",
      "python",
      ">>> x = 1\n>>> x\n1\n>>> for i in y:\n...     i\n...\n2",
      "x = 1\nx\nfor i in y:\n    i\n",
    ],
    ["a session of IPython with its output", "python", "In [1]: x = 1\n\nIn [2]: x\nOut[2]: 1\n", "x = 1\n\nx\n"],
    ["a session of R with its output", "r", "> f <- function(x) {\n+   x\n+ }\n> f(2)\n[1] 2", "f <- function(x) {\n  x\n}\nf(2)"],
    ["a session of R with one line", "r", "> 1 + 1\n[1] 2", "1 + 1"],
    ["a session of JavaScript", "javascript", "> const a = [\n... 1,\n... ]\n> a\n[ 1 ]", "const a = [\n1,\n]\na"],
    ["a fence around prompts", "bash", `${F}console\n$ ls\n${F}`, "ls"],
  ])("%s", (_, language, code, expected) => {
    const cleaned = cleanCode(code, language);
    expect(cleaned.code).toBe(expected);
    expect(cleaned.notices.length).toBeGreaterThan(0);
  });

  it("says what was taken off, and that a fence names another language", () => {
    expect(cleanCode(`${F}bash\nls\n${F}`, "python").notices).toEqual([
      "The Markdown fence around the code was left out before it ran. The fence says bash, and it ran as python.",
    ]);
    expect(cleanCode(">>> x\n1\n>>> y\n2", "python").notices).toEqual([
      "Prompts before the code's lines, and 2 lines without one, taken for output, were left out before it ran.",
    ]);
    expect(cleanCode(`${F}js\nx\n${F}`, "typescript").notices.join()).not.toContain("says");
  });
});

describe("code that could be meant stays as it is, byte for byte", () => {
  it.each<[string, string]>([
    ["python", "pythonic = 1"],
    ["python", "python = 1\npython"],
    ["python", "python"],
    ["python", "py.test()\nx"],
    ["python", `text = """\n${F}python\nprint(1)\n${F}\n"""`],
    ["python", `"""\n${F}\n"""\n`],
    ["python", `x = 1\n${F}\n`],
    ["python", `Here it is:\n${F}python\nprint(1)\n${F}`],
    ["python", `${F}python\nprint(1)\n${F}\nThat was it.`],
    ["python", `${F}python\na\n${F}\n${F}python\nb\n${F}`],
    ["python", `${F}python\nprint(1)`],
    ["python", `${F}\n${F}`],
    ["python", "~~~x\n~~y"],
    ["python", ">>> print(1)"],
    ["python", ">>> def f():\n...     return 1\n...\n>>> f()"],
    ["python", ">>> x = 5\ny = 6"],
    ["python", ">>> def f():\n    return 1\n>>> f()"],
    ["python", '>>> s = """\ntext\n"""\n>>> s'],
    ["python", "In [3]: x = 1\n   ...: y = 2"],
    ["python", "x = 1\n>>> y"],
    ["python", "%%bash\n$ ls"],
    ["python", "s = '''\n>>> x\n1\n>>> y\n'''"],
    ["python", "\ufeffx = 1\r\n\r\n  \n"],
    ["javascript", "`hello \u0024{name}`"],
    ["javascript", "``\n"],
    ["javascript", "`\u0024{1}\n`"],
    ["javascript", `const a = \`\n${F.replaceAll("`", "\\`")}\n\`;`],
    ["javascript", `// ${F}\nx`],
    ["javascript", "js\n.call()"],
    ["javascript", "js\n(1)"],
    ["javascript", "js\n// it goes on\n`a`"],
    ["javascript", "ts\nin x"],
    ["javascript", "js => 1"],
    ["typescript", "ts\n= 1"],
    ["bash", "bash\nls"],
    ["bash", "python\n"],
    ["bash", `cat <<'EOF' > README.md\n${F}bash\nnpm install\n${F}\nEOF`],
    ["bash", "echo '\n$ ls\n'"],
    ["bash", "$(which ls) -l"],
    ["bash", "$HOME/run"],
    ["bash", "> empty.txt"],
    ["bash", "$ cat <<EOF\n$ npm install\nEOF\n$ ls"],
    ["bash", "$ ls\nfile.txt\n$ pwd"],
    ["r", "r\nx"],
    ["r", "x <- 1\n+ 2\n> 3"],
    ["r", "`my name` <- 1\n`my name`"],
    ["r", "~ x + y"],
  ])("%s: %j", (language, code) => {
    expect(cleanCode(code, language)).toEqual({ code, notices: [] });
  });

  const sources = (folder: string, ending: string) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(ending))
      .map((name) => readFileSync(join(ROOT, folder, name), "utf8"));

  it.each<[string, string[]]>([
    ["python", [...sources("sandbox", ".py"), ...sources("bench", ".py")]],
    ["typescript", [...sources("src", ".ts"), ...sources("test", ".ts"), ...sources("examples", ".ts")]],
    ["bash", sources("scripts", ".sh")],
  ])("every file of this repository, in %s, and what is fenced whole", (language, files) => {
    expect(files.length).toBeGreaterThan(3);
    for (const file of files) {
      expect(cleanCode(file, language)).toEqual({ code: file, notices: [] });
      // The code in a fence, and no more than the fence, is taken out of it.
      const fence = "`".repeat(Math.max(3, ...[...file.matchAll(/^`+/gm)].map((run) => run[0].length + 1)));
      expect(cleanCode(`${fence}${language}\n${file}\n${fence}`, language).code).toBe(file);
    }
  });
});
