import { expect, it } from "vitest";
import { KernelboxError } from "../../../src/errors.ts";
import { installError, lookError } from "../../../src/packages/errors.ts";

it("tells apart an install that was too slow, and a look, which changes nothing", () => {
  const late = new KernelboxError("deadline_exceeded", "slow", "", { details: { sandbox_message: "it took too long" } });
  expect(installError(late)).toMatchObject({ code: "deadline_exceeded", message: expect.stringContaining("taken back") });
  const looked = lookError(late);
  expect(looked).toMatchObject({ code: "deadline_exceeded", message: expect.stringContaining("nothing was changed") });
  expect(looked.message + looked.hint).not.toContain("timeout_s");
});
