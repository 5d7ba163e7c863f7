import { expect, it } from "vitest";
import { KernelboxError } from "../../src/errors.ts";

it("tells a deadline and a cancellation of the platform from a bug", () => {
  const reasonOf = (signal: AbortSignal) => {
    try {
      signal.throwIfAborted();
    } catch (thrown) {
      return KernelboxError.from(thrown).code;
    }
  };
  expect(reasonOf(AbortSignal.abort())).toBe("cancelled");
  expect(reasonOf(AbortSignal.abort(new DOMException("late", "TimeoutError")))).toBe("deadline_exceeded");
  expect(KernelboxError.from(new TypeError("x")).code).toBe("internal");
});
