import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { LIMITS } from "../../../src/limits.ts";
import { progressOf } from "../../../src/tools/progress.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function told() {
  const messages: { at: number; message: string }[] = [];
  const startedAt = Date.now();
  return { messages, progress: progressOf((message) => messages.push({ at: Date.now() - startedAt, message })) };
}

it("a sign of life comes so long after whatever was told last", () => {
  const { messages, progress } = told();
  vi.advanceTimersByTime(1_000);
  progress.onOutput("line\n");
  vi.advanceTimersByTime(2 * LIMITS.progressIntervalMs);
  expect(messages).toEqual([
    { at: 1_000, message: "line" },
    { at: 1_000 + LIMITS.progressIntervalMs, message: "line" },
    { at: 1_000 + 2 * LIMITS.progressIntervalMs, message: "line" },
  ]);
  progress.stop();
  vi.advanceTimersByTime(60_000);
  expect(messages).toHaveLength(3);
});

it("code that says nothing is told to run", () => {
  const { messages, progress } = told();
  vi.advanceTimersByTime(LIMITS.progressIntervalMs);
  progress.stop();
  expect(messages).toEqual([{ at: LIMITS.progressIntervalMs, message: "running for 5 s" }]);
});

it("output is told no more often than a host can use, its newest line, cut", () => {
  const { messages, progress } = told();
  for (let n = 0; n < 100; n++) {
    progress.onOutput(`line ${n}\n`);
    vi.advanceTimersByTime(10);
  }
  progress.onOutput("x".repeat(10_000));
  vi.advanceTimersByTime(LIMITS.progressMinIntervalMs);
  progress.stop();
  const gaps = messages.slice(1).map(({ at }, index) => at - (messages[index]?.at ?? 0));
  expect(Math.min(...gaps)).toBeGreaterThanOrEqual(LIMITS.progressMinIntervalMs);
  expect(messages.length).toBeLessThanOrEqual(1_000 / LIMITS.progressMinIntervalMs + 3);
  expect(messages.at(-1)?.message).toHaveLength(LIMITS.progressCharacters);
});
