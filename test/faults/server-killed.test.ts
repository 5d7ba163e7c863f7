import { expect, it } from "vitest";
import { startClient } from "../helpers/client.ts";
import { eventually, guardAgainstLeaks, ourContainers } from "../helpers/containers.ts";

guardAgainstLeaks();

const LEASE_S = 5;
const KILLS = 10;

it(`leaves nothing after SIGKILL of the server once the lease has passed, ${KILLS} times`, async () => {
  // In pairs: two cores start no more than that at a time, and the leases of all run out together.
  const clients = [];
  for (let at = 0; at < KILLS; at += 2) {
    clients.push(
      ...(await Promise.all(
        [0, 1].map(() => startClient(undefined, ["--lease", String(LEASE_S), "--memory", "512", "--workspace", "64"])),
      )),
    );
    await Promise.all(
      clients.slice(-2).map(async (client, n) => {
        // Every signal that could stop it, to the supervisor and to all else, from inside.
        const stop = "import os, signal\nfor s in (signal.SIGSTOP, signal.SIGTERM, signal.SIGKILL):\n    os.kill(1, s)\n'sent'";
        const reply = await client.run(n === 0 ? stop : "while True: pass", n === 0 ? {} : { timeout_s: 0.2 });
        expect(reply.isError).toBe(false);
        if (n === 0) expect(reply.structured.result).toBe("'sent'");
      }),
    );
  }
  expect(await ourContainers()).toHaveLength(KILLS);
  for (const client of clients) process.kill(client.pid, "SIGKILL");
  const startedAt = Date.now();
  await eventually(ourContainers, (containers) => containers.length === 0, (LEASE_S + 15) * 1_000);
  expect(Date.now() - startedAt).toBeGreaterThan((LEASE_S - 3) * 1_000);
  for (const client of clients) await client.close().catch(() => {});
});

it("a lease of a living server does not run out, however long its code takes", async () => {
  await using client = await startClient(undefined, ["--lease", String(LEASE_S)]);
  const reply = await client.run(`import time\ntime.sleep(${LEASE_S * 2})\n'done'`);
  expect(reply.structured.result).toBe("'done'");
});
