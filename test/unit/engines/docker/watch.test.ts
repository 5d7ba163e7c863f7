import type { ServerResponse } from "node:http";
import { pino } from "pino";
import { expect, test } from "vitest";
import { createDockerEngine } from "../../../../src/engines/docker/index.ts";
import type { ContainerEvent } from "../../../../src/engines/engine.ts";
import { LIMITS } from "../../../../src/limits.ts";
import { engineSocket } from "../../../helpers/engine-socket.ts";

const log = pino({ level: "silent" });
const end = (id: string) => `${JSON.stringify({ Action: "die", Actor: { ID: id, Attributes: { exitCode: "3" } }, timeNano: 1 })}\n`;

/** An engine without containers that sends on each event stream what the callback writes. */
async function watched(serve: (stream: ServerResponse, opened: number) => void) {
  let opened = 0;
  const engine = await engineSocket({}, (url, response) => {
    if (!url.startsWith("/events")) response.end("[]");
    else serve(response, ++opened);
  });
  const controller = new AbortController();
  const events: ContainerEvent[] = [];
  createDockerEngine({ log, endpoint: engine.host }).watch((event) => events.push(event), controller.signal);
  return {
    events,
    opened: () => opened,
    [Symbol.asyncDispose]: async () => {
      controller.abort();
      await engine[Symbol.asyncDispose]();
    },
  };
}

test("an event that does not end breaks the stream at the bound, and the next one is followed", async () => {
  await using engine = await watched((stream, opened) => {
    stream.write(opened === 1 ? "x".repeat(LIMITS.engineLineCharacters + 1) : end("after"));
  });
  await expect.poll(() => engine.events, { timeout: 5_000 }).toEqual([{ type: "ended", containerId: "after", exitCode: 3 }]);
  expect(engine.opened()).toBe(2);
});

test("an end is told once, and so many ends are remembered for it", async () => {
  const ids = Array.from({ length: LIMITS.eventEndsKept + 1 }, (_, n) => `c${n}`);
  await using engine = await watched((stream) => {
    for (const id of [...ids, "c1", "c0", "last"]) stream.write(end(id));
  });
  await expect.poll(() => engine.events.at(-1)?.containerId, { timeout: 5_000 }).toBe("last");
  // c1 is remembered, and c0, the oldest, is not any more.
  expect(engine.events.map(({ containerId }) => containerId)).toEqual([...ids, "c0", "last"]);
});
