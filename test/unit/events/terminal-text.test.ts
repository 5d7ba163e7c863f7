import { describe, expect, it } from "vitest";
import { plainText, TerminalText } from "../../../src/events/terminal-text.ts";
import { processorMs } from "../../helpers/processor-time.ts";

const inPieces = (text: string, size: number) => {
  const folder = new TerminalText();
  let plain = "";
  for (let at = 0; at < text.length; at += size) plain += folder.push(text.slice(at, at + size));
  return plain + folder.pending;
};

describe("terminal text made plain", () => {
  it.each([
    ["colours", "\u001b[31mred\u001b[0m \u001b[1;32mgreen\u001b[m", "red green"],
    ["a link", "\u001b]8;;http://x.example\u001b\\text\u001b]8;;\u0007", "text"],
    ["a clipboard write", "a\u001b]52;c;ZXZpbA==\u0007b", "ab"],
    ["a device string", "a\u001bPq#0\u001b\\b", "ab"],
    ["cursor movement and C1", "a\u001b[2J\u001b[1;1Hb\u009b31mc\u0085", "abc"],
    ["other escapes", "a\u001b(Bb\u001b7c", "abc"],
    ["control characters", "a\u0000b\u0008c\u0007", "abc"],
    ["bidi controls", "a\u202egnp.exe\u2066b", "agnp.exeb"],
    ["a progress bar", "10%\r50%\r100%\ndone", "100%\ndone"],
    ["a shorter overwrite", "abcdef\rxy", "xycdef"],
    ["overwrites of several lengths", "abcdef\rABCD\r12\r\rx\r", "x2CDef"],
    ["text behind an overwrite", "abcdef\rxy\u001b[0mz", "xyzdef"],
    ["Windows line ends", "a\r\nb\r\n", "a\nb\n"],
    ["tabs and letters of any script", "a\tgrüß 图表 😀\n", "a\tgrüß 图表 😀\n"],
  ])("%s", (_, text, plain) => {
    expect(plainText(text)).toBe(plain);
    for (const size of [1, 2, 3, 5]) expect(inPieces(text, size)).toBe(plain);
  });

  it("stays bounded when an escape never ends, and when a line never does", () => {
    expect(inPieces(`\u001b]52;${"x".repeat(1_000_000)}`, 10_000).length).toBeGreaterThan(900_000);
    const folder = new TerminalText();
    for (let n = 0; n < 1_000; n++) folder.push("x".repeat(1_000));
    expect(folder.pending.length).toBeLessThan(70_000);
    const startedAt = processorMs();
    const bar = new TerminalText();
    for (let n = 0; n < 100_000; n++) bar.push(`\r${n}%`);
    expect(bar.pending).toBe("99999%");
    expect(processorMs() - startedAt).toBeLessThan(5_000);
  });

  it("takes time in proportion to the text, however many carriage returns are in it", () => {
    const timeFor = (text: string) => {
      const times = Array.from({ length: 20 }, () => {
        const startedAt = processorMs();
        plainText(text);
        return processorMs() - startedAt;
      });
      return Math.min(...times);
    };
    const text = (size: number) => "x".repeat(size) + "ab\r".repeat(size / 3);
    timeFor(text(30_000));
    // Linear is twice; a millisecond is what a timer may be off.
    expect(timeFor(text(131_072))).toBeLessThan(3 * timeFor(text(65_536)) + 1);
    expect(timeFor(text(65_536))).toBeLessThan(50);
  });
});
