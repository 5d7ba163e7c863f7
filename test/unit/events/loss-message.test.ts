import { describe, expect, it } from "vitest";
import { earlierLossMessage, leftLossMessage, lossMessage, lossSchema } from "../../../src/events/loss-message.ts";

const GIB = 2 ** 30;

describe("what is told of a loss", () => {
  it.each([
    [
      { reason: "out_of_memory", memory_limit_bytes: 2 * GIB, memory_peak_bytes: 1.5 * GIB },
      "used more memory than the sandbox has and was killed (limit 2.0 GiB, the sandbox's peak 1.5 GiB). The context works on",
    ],
    [{ reason: "out_of_memory", memory_limit_bytes: 0, memory_peak_bytes: 256 * 2 ** 20 }, "was killed (the sandbox's peak 256 MiB)."],
    [{ reason: "out_of_memory" }, "and was killed."],
    [{ reason: "exited", exit_code: 0 }, "ended with exit code 0."],
    [{ reason: "exited", no_kernel: true }, "process ended. A new kernel would not start; the error says why."],
    [{ reason: "killed", exit_signal: 11 }, "killed by signal 11 (SIGSEGV)."],
    [{ reason: "killed", exit_signal: 63 }, "killed by signal 63."],
    [
      { reason: "killed", by: "cancel", exit_signal: 9 },
      "was cancelled and did not stop when it was interrupted, so its kernel was killed.",
    ],
    [{ reason: "restarted" }, "restart_context was called"],
  ] as const)("%j", (death, words) => {
    expect(lossMessage(death)).toContain(words);
    expect(leftLossMessage(death, "exe_1", true)).toMatch(
      /^Variables from execution exe_1 and before it are lost: .*\. This code ran on a newer kernel\.$/,
    );
    expect(leftLossMessage(death, "exe_1", false)).toMatch(/^Variables from before execution exe_1 are lost: /);
    expect(earlierLossMessage(death)).toMatch(/^Variables from before this call are lost: .*\. This code ran on a new kernel\.$/);
  });

  it("does not promise a new kernel to a context that was deleted", () => {
    expect(lossMessage({ reason: "killed", by: "delete" })).toBe("All variables are lost: the context was deleted.");
  });

  it.each([{ exit_code: "3" }, { memory_peak_bytes: -1 }, { memory_limit_bytes: 1e300 }, { exit_signal: 1e6 }, { by: "somebody" }])(
    "is not made of %j",
    (facts) => {
      const loss = { reason: "killed", incarnation: 1, at: "" };
      expect(lossSchema.safeParse(loss).success).toBe(true);
      expect(lossSchema.safeParse({ ...loss, ...facts }).success).toBe(false);
    },
  );
});
