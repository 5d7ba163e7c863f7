import { expect, test } from "vitest";
import { answered, engineError } from "../../../../src/engines/docker/errors.ts";
import { KernelboxError } from "../../../../src/errors.ts";
import { LIMITS } from "../../../../src/limits.ts";

const SAID = "rm -rf / said the image";
const fault = (members: object) => Object.assign(new Error(SAID), members);

test.for([
  [{ code: "EACCES" }, "engine_unavailable", /docker \$USER.*rootless/],
  [{ code: "ENOENT" }, "engine_unavailable", /\S/],
  [{ code: "ECONNREFUSED" }, "engine_unavailable", /\S/],
  [{ code: "CERT_HAS_EXPIRED" }, "engine_unavailable", /DOCKER_CERT_PATH/],
  [{ statusCode: 400 }, "engine_unavailable", /details/],
  [{ statusCode: 404 }, "not_found", /\S/],
  [{ statusCode: 409 }, "busy", /again/],
  [{ statusCode: 500 }, "engine_unavailable", /doctor/],
  [{}, "engine_unavailable", /doctor/],
] as const)("%o is told as %s, in our words", ([members, code, hint]) => {
  const error = engineError(fault(members), "creating a container");
  expect(error).toMatchObject({ code, hint: expect.stringMatching(hint), details: { engine_message: SAID } });
  expect(error.message).toContain("(creating a container)");
  expect(error.message + error.hint).not.toContain(SAID);
});

test("what the engine says is bounded", () => {
  const error = engineError(new Error("x".repeat(1_000_000)), "listing");
  expect(String(error.details?.engine_message).length).toBe(LIMITS.engineTextCharacters);
});

test("an engine that does not answer is given up at the deadline, and its request ended", async () => {
  let asked: AbortSignal | undefined;
  const never = answered(
    "waiting",
    (signal) => {
      asked = signal;
      return new Promise(() => {});
    },
    { deadlineMs: 20 },
  );
  await expect(never).rejects.toMatchObject({ code: "engine_unavailable", message: expect.stringContaining("20 ms (waiting)") });
  expect(asked?.aborted).toBe(true);
});

test("an answer that comes late is handed over, and its request is not ended", async () => {
  let resolve: (answer: string) => void = () => {};
  const promise = new Promise<string>((settle) => {
    resolve = settle;
  });
  const late: string[] = [];
  const asking = answered("creating", () => promise, { deadlineMs: 10, onLate: (answer) => late.push(answer) });
  await expect(asking).rejects.toBeInstanceOf(KernelboxError);
  resolve("container");
  await promise;
  await new Promise((turn) => setImmediate(turn));
  expect(late).toEqual(["container"]);
});
