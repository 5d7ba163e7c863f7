import { expect, it } from "vitest";
import { createLog } from "../../../src/log.ts";
import { Removals } from "../../../src/sandboxes/removals.ts";

it("what could not be removed is tried again, and what was is not", async () => {
  const removals = new Removals(createLog("silent"));
  const tries = { stubborn: 0, willing: 0 };
  await removals.remove("a container", "stubborn", async () => {
    if (++tries.stubborn < 3) throw new Error("device or resource busy");
  });
  await removals.remove("a container", "willing", async () => void tries.willing++);
  for (let retry = 0; retry < 4; retry++) {
    removals.retry();
    await removals.settled();
  }
  expect(tries).toEqual({ stubborn: 3, willing: 1 });
});

it("settles when the last has, also one that began meanwhile", async () => {
  const removals = new Removals(createLog("silent"));
  const done: string[] = [];
  const after = (ms: number, name: string) => async () => {
    await new Promise((resolve) => setTimeout(resolve, ms));
    done.push(name);
  };
  void removals.remove("a container", "first", after(20, "first"));
  setTimeout(() => void removals.remove("a container", "second", after(30, "second")), 10);
  await removals.settled();
  expect(done).toEqual(["first", "second"]);
});
