import { pino } from "pino";
import { expect, test } from "vitest";
import { connect } from "../../../../src/engines/docker/connection.ts";
import { destroyContainer } from "../../../../src/engines/docker/destroy.ts";
import { engineSocket } from "../../../helpers/engine-socket.ts";

const log = pino({ level: "silent" });
const ID = "0123456789ab";

test("a removal that never ends is given up at its deadline, with the command that a person can try", async () => {
  let asked = 0;
  await using engine = await engineSocket({}, (_, response) => {
    asked++;
    response.writeHead(409).end('{"message":"removal is already in progress"}');
  });
  const { docker } = await connect(engine.host, log);
  await expect(destroyContainer(docker, ID, 200)).rejects.toMatchObject({
    code: "engine_unavailable",
    message: expect.stringContaining("200 ms"),
    hint: `Remove it by hand: docker rm -f ${ID}`,
  });
  // 25, 50 and 100 ms apart: neither once, nor as fast as it can.
  expect(asked).toBeGreaterThan(1);
  expect(asked).toBeLessThan(6);
});

test("an engine that is silent while it removes is given up at the deadline as well", async () => {
  await using engine = await engineSocket({}, () => {});
  const { docker } = await connect(engine.host, log);
  await expect(destroyContainer(docker, ID, 200)).rejects.toMatchObject({
    code: "engine_unavailable",
    hint: `Remove it by hand: docker rm -f ${ID}`,
  });
});

test("a removal that is under way already is waited for", async () => {
  let asked = 0;
  await using engine = await engineSocket({}, (_, response) => {
    response.writeHead(++asked < 3 ? 409 : 404).end("{}");
  });
  const { docker } = await connect(engine.host, log);
  await destroyContainer(docker, ID, 5_000);
  expect(asked).toBe(3);
});
