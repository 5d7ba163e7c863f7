import type { LanguageName } from "../../src/contexts/languages.ts";

/** The same things said in one language. */
export interface Cases {
  /** Sets x to 41. */
  set: string;
  print: string;
  streams: string;
  value?: { source: string; result: string };
  error: { source: string; name: string; value: string; traceback: string };
  syntaxError: string;
  /** Says "begun", then computes, or waits for a child, for good. */
  endless: string;
  waiting?: string;
  /** What no interrupt ends. */
  stuck?: string[];
  whereAndEnvironment: string;
  /** Prints KB_OF_RUN, or an empty line. */
  environment: string;
  say: (text: string) => string;
  /** "first", two million characters, "last", each with a line of its own. */
  long: string;
  picture?: string;
  asks: string[];
  refusal: RegExp;
  child: string;
  /** Two million characters of a child, then "end". */
  longChild: string;
  quick: (n: number) => string;
  quickResult?: (n: number) => string;
}

const LONG_CHILD = "head -c 2000000 /dev/zero | tr '\\\\0' x; echo; echo end";
const PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

const deno = (types: boolean): Cases => ({
  set: types ? "let x: number = 41" : "let x = 41",
  print: "console.log(x)",
  streams: 'console.log("to stdout"); console.error("to stderr")',
  value: types ? { source: "const y: number = x; [y + 1, 'ü']", result: '[ 42, "ü" ]' } : { source: "[x + 1, 'ü']", result: '[ 42, "ü" ]' },
  error: {
    source: "function inner() { throw new RangeError('too far ü') }\nconsole.log('before')\ninner()",
    name: "RangeError",
    value: "too far ü",
    traceback: "at inner",
  },
  syntaxError: "let broken = = 1",
  endless: "console.log('begun'); while (true) {}",
  stuck: ["await new Promise(() => {})", "new Deno.Command('sleep', { args: ['60'] }).outputSync()"],
  whereAndEnvironment: "console.log(Deno.cwd()); console.log(Deno.env.get('KB_OF_CONTEXT'))",
  environment: "console.log(Deno.env.get('KB_OF_RUN') ?? '')",
  say: (text) => `console.log(${JSON.stringify(text)})`,
  long: "console.log('first'); console.log('x'.repeat(2_000_000)); console.log('last')",
  picture: `Deno.jupyter.image(Uint8Array.from(atob("${PIXEL}"), (c) => c.charCodeAt(0)))`,
  asks: ["prompt('who?')", "confirm('sure?')", "alert('look')"],
  refusal: /no stdin.*variables/,
  child:
    "await new Deno.Command('sh', { args: ['-c', \"echo of a child; echo child\\\\'s stderr >&2\"], stdout: 'inherit', stderr: 'inherit' }).spawn().status; undefined",
  longChild: `await new Deno.Command('sh', { args: ['-c', "${LONG_CHILD}"] }).spawn().status; undefined`,
  quick: (n) => `${n}`,
});

export const CASES: Record<LanguageName, Cases> = {
  python: {
    set: "x = 41",
    print: "print(x)",
    streams: "import sys\nprint('to stdout')\nprint('to stderr', file=sys.stderr)",
    value: { source: "[x + 1, 'ü']", result: "[42, 'ü']" },
    error: {
      source: "def inner():\n    raise IndexError('too far ü')\nprint('before')\ninner()",
      name: "IndexError",
      value: "too far ü",
      traceback: "inner()",
    },
    syntaxError: "broken = = 1",
    endless: "print('begun')\nwhile True: pass",
    waiting: "import subprocess\nprint('begun')\nsubprocess.run(['sleep', '60'])",
    whereAndEnvironment: "import os\nprint(os.getcwd())\nprint(os.environ['KB_OF_CONTEXT'])",
    environment: "import os\nprint(os.environ.get('KB_OF_RUN', ''))",
    say: (text) => `print(${JSON.stringify(text)})`,
    long: "print('first')\nprint('x' * 2_000_000)\nprint('last')",
    picture: "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()",
    asks: ["input('who?')", "import getpass\ngetpass.getpass()"],
    refusal: /Pass values as variables/,
    child: "import os\nassert os.system('echo of a child; echo \"child\\'s stderr\" >&2') == 0",
    longChild: `import subprocess\nassert subprocess.call("${LONG_CHILD}", shell=True) == 0`,
    quick: (n) => `${n}`,
  },
  javascript: deno(false),
  typescript: deno(true),
  bash: {
    set: "x=41",
    print: 'echo "$x"',
    streams: "echo to stdout; echo to stderr >&2",
    error: { source: "echo before; (exit 3)", name: "ExitStatus", value: "3", traceback: "" },
    syntaxError: "if then",
    endless: "echo begun; while :; do :; done",
    waiting: "echo begun; sleep 60",
    whereAndEnvironment: 'pwd; echo "$KB_OF_CONTEXT"',
    environment: 'echo "$KB_OF_RUN"',
    say: (text) => `echo '${text}'`,
    long: "echo first; head -c 2000000 /dev/zero | tr '\\0' x; echo; echo last",
    asks: ["read answer"],
    refusal: /ExitStatus/,
    child: 'sh -c "echo of a child; echo child\\\'s stderr >&2"',
    longChild: `sh -c "${LONG_CHILD}"`,
    quick: (n) => `echo ${n}`,
  },
  r: {
    set: "x <- 41",
    print: 'cat(x, "\\n", sep = "")',
    streams: 'cat("to stdout\\n"); message("to stderr")',
    value: { source: "c(x + 1, 2)", result: "[1] 42  2" },
    error: {
      source: 'inner <- function() stop("too far ü")\nouter <- function() inner()\ncat("before\\n")\nouter()',
      name: "ERROR",
      value: "too far ü",
      traceback: "inner()",
    },
    syntaxError: "broken <- <- 1",
    endless: 'cat("begun\\n"); while (TRUE) {}',
    waiting: 'cat("begun\\n"); system("sleep 60")',
    whereAndEnvironment: 'cat(getwd(), "\\n", Sys.getenv("KB_OF_CONTEXT"), "\\n", sep = "")',
    environment: 'cat(Sys.getenv("KB_OF_RUN"), "\\n", sep = "")',
    say: (text) => `cat(${JSON.stringify(text)}, "\\n", sep = "")`,
    long: 'cat("first\\n"); cat(strrep("x", 2000000), "\\n", sep = ""); cat("last\\n")',
    picture: "plot(1:3)",
    asks: ['readline("who?")', 'readLines("stdin")', "readLines(stdin())", "scan()", 'scan(file("stdin"))'],
    refusal: /no stdin.*variables/,
    child: 'invisible(system("echo of a child; echo \\"child\'s stderr\\" >&2"))',
    longChild: `invisible(system("${LONG_CHILD}"))`,
    quick: (n) => `${n}`,
    quickResult: (n) => `[1] ${n}`,
  },
};
