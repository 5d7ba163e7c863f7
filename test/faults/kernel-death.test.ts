import { expect, it } from "vitest";
import { startClient } from "../helpers/client.ts";
import { guardAgainstLeaks } from "../helpers/containers.ts";

guardAgainstLeaks();

const DEATHS = 20;
const DEATH_AFTER_MS = 60;

it(`never hides that variables are gone, whenever the next call comes after an idle kernel's death, ${DEATHS} times`, async () => {
  await using client = await startClient();
  for (let n = 0; n < DEATHS; n++) {
    const first = await client.run(`import os, threading\nv = ${n}\nthreading.Timer(${DEATH_AFTER_MS / 1_000}, os._exit, [3]).start()`);
    // From before its death to well after; most often in the moment in which it is dead and its last messages are still being read.
    await new Promise((resolve) => setTimeout(resolve, DEATH_AFTER_MS - 10 + 3 * n));
    let told = first.structured.status === "died";
    let isThere = true;
    while (isThere) {
      const { status, result, state } = (await client.run("'v' in globals()")).structured;
      told ||= status === "died" || state.variables === "lost";
      if (state.variables === "lost") expect(state.reason).toBe("exited");
      isThere = status !== "died" && result === "True";
    }
    expect(told, `death ${n} was told`).toBe(true);
  }
});
