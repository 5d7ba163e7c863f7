import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { KernelboxError } from "../../../src/errors.ts";
import { type Edit, edited } from "../../../src/files/edits.ts";
import { LIMITS } from "../../../src/limits.ts";

const edit = (oldText: string, newText: string, replaceAll = false): Edit => ({ oldText, newText, replaceAll });

function refusal(text: string, edits: Edit[]): KernelboxError {
  try {
    edited(text, edits);
  } catch (thrown) {
    return KernelboxError.from(thrown);
  }
  throw new Error("it was not refused");
}

describe("edits", () => {
  it("are made in order, each in what the one before it left", () => {
    expect(edited("a b c", [edit("a", "x"), edit("x b", "y"), edit("c", "")])).toBe("y ");
    expect(edited("aXbXc", [edit("X", "YX", true)])).toBe("aYXbYXc");
    expect(edited("aaaa", [edit("aa", "b", true)])).toBe("bb");
  });

  it("take text as it is: special signs of patterns and replacements, line ends, what no single unit holds", () => {
    expect(edited("a.*b", [edit(".*", "$&$1$$")])).toBe("a$&$1$$b");
    expect(edited("one\r\ntwo\r\n", [edit("one\r\n", "1\r\n")])).toBe("1\r\ntwo\r\n");
    expect(edited("no end", [edit("end", "end 🙂")])).toBe("no end 🙂");
  });

  it.each([
    ["that find nothing", "abc", edit("xyz", "x"), /old_text is not in the file\.$/],
    ["that are nearly right", "def f():\n    return 1\n", edit("def f():\n  return 1", "x"), /Its first line stands at line 1,/],
    ["whose line ends are others", "one\r\ntwo\r\n", edit("one\ntwo", "x"), /lines end in CRLF/],
    ["that find more than one place", "a\nb\na\n", edit("a", "x"), /there 2 times, at lines 1, 3\.$/],
    ["that find very many", "a\n".repeat(1_000), edit("a", "x"), /there more than 10 times, at lines 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, …\.$/],
    ["that replace nothing", "abc", edit("", "x"), /has no old_text/],
    ["that change nothing", "abc", edit("b", "b"), /would change nothing/],
  ])("%s are refused and say why", (_, text, wrong, words) => {
    const error = refusal(text, [wrong]);
    expect(error).toMatchObject({ code: "invalid_argument", message: expect.stringMatching(words) });
    expect(error.hint).not.toBe("");
    expect(refusal(`first ${text}`, [edit("first", "1st"), wrong]).message).toMatch(/^Edit 2 of 2 /);
  });

  it("that make a text too long are refused", () => {
    const text = "a".repeat(1_000);
    expect(refusal(text, [edit("a", "b".repeat(LIMITS.editFileBytes / 900), true)]).code).toBe("too_large");
  });

  it("do what a model of them does", () => {
    const text = fc.string({ unit: fc.constantFrom("a", "b", "\n", "é", "🙂"), maxLength: 40 });
    fc.assert(
      fc.property(text, text, text, fc.boolean(), (before, oldText, newText, replaceAll) => {
        const pieces = oldText === "" ? [before] : before.split(oldText);
        const isRight = oldText !== newText && (replaceAll ? pieces.length > 1 : pieces.length === 2);
        if (isRight) expect(edited(before, [edit(oldText, newText, replaceAll)])).toBe(pieces.join(newText));
        else expect(refusal(before, [edit(oldText, newText, replaceAll)]).code).toBe("invalid_argument");
      }),
      { numRuns: 2_000 },
    );
  });

  it("say where each place is", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom("x", "y", ""), { minLength: 2, maxLength: 12 }), (lines) => {
        const at = lines.flatMap((line, index) => (line === "x" ? [index + 1] : []));
        fc.pre(at.length > 1);
        expect(refusal(lines.join("\n"), [edit("x", "z")]).message).toContain(`at lines ${at.slice(0, LIMITS.editPlaces).join(", ")}`);
      }),
    );
  });
});
