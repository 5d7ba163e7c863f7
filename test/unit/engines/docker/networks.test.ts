import { expect, it } from "vitest";
import { createDockerEngine } from "../../../../src/engines/docker/index.ts";
import { LIMITS } from "../../../../src/limits.ts";
import { createLog } from "../../../../src/log.ts";
import { engineSocket } from "../../../helpers/engine-socket.ts";

/** What an engine says whose subnets are all taken. */
const OVERLAP = JSON.stringify({ message: "Pool overlaps with other one on this address space" });

async function creating(refusals: number) {
  let asked = 0;
  const removed: string[] = [];
  await using socket = await engineSocket({ OSType: "linux" }, (url, response, method) => {
    if (method === "DELETE") {
      removed.push(url);
      response.statusCode = 404;
      response.end("{}");
    } else if (asked++ < refusals) {
      response.statusCode = 403;
      response.end(OVERLAP);
    } else {
      response.statusCode = 201;
      response.end(JSON.stringify({ Id: "f".repeat(64) }));
    }
  });
  const engine = createDockerEngine({ log: createLog("silent"), endpoint: socket.host });
  const network = await engine.createNetwork({ name: "kernelbox-test", labels: {} }).catch((error) => error);
  return { network, asked, removed };
}

it("a subnet that is taken is passed over", async () => {
  const { network, asked } = await creating(LIMITS.subnetTries - 1);
  expect(asked).toBe(LIMITS.subnetTries);
  expect(network).toMatchObject({ networkId: "f".repeat(64) });
  expect(network.addresses).toHaveLength(5);
  for (const address of network.addresses) expect(address).toMatch(/^198\.1[89]\.\d{1,3}\.\d{1,3}$/);
});

it("not for ever: an engine that refuses them all is an error, and what it may have made is removed", async () => {
  const { network, asked, removed } = await creating(LIMITS.subnetTries);
  expect(asked).toBe(LIMITS.subnetTries);
  expect(network).toMatchObject({ code: "engine_unavailable", hint: expect.stringContaining("docker network prune") });
  expect(removed).toHaveLength(LIMITS.subnetTries);
});
