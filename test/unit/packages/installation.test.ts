import { expect, it } from "vitest";
import { Installation } from "../../../src/packages/installation.ts";

it("goes on without those who wait, tells each of them, and ends when the last takes the call back", async () => {
  const told: string[] = [];
  const installation = new Installation<string>(async (own) => {
    own.tell("begun");
    return await own.whileWanted(new Promise<string>(() => {}));
  });
  const first = installation.join((message) => told.push(`1 ${message}`));
  const second = installation.join((message) => told.push(`2 ${message}`));
  await Promise.resolve();
  await Promise.resolve();
  expect(told).toEqual(["1 begun", "2 begun"]);
  first(false);
  expect(installation.signal.aborted).toBe(false);
  const third = installation.join(undefined);
  second(true);
  expect(installation.signal.aborted).toBe(false);
  expect(installation.isOver).toBe(false);
  third(true);
  await expect(installation.done).rejects.toMatchObject({ code: "cancelled" });
  expect(installation.isOver).toBe(true);
});
