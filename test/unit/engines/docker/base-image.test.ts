import type { ServerResponse } from "node:http";
import { pino } from "pino";
import { afterEach, expect, test, vi } from "vitest";
import { baseImage } from "../../../../src/engines/docker/base-image.ts";
import { connect } from "../../../../src/engines/docker/connection.ts";
import { engineSocket } from "../../../helpers/engine-socket.ts";

const OFFICIAL = "debian:trixie-slim";
const OWN = "kernelbox/base:trixie";
const log = pino({ level: "silent" });
const signal = new AbortController().signal;

afterEach(() => {
  vi.unstubAllEnvs();
});

/** Answers on a socket as an engine with these images, and with a registry or without. */
async function engineWith(images: string[], pull: (response: ServerResponse) => void) {
  let pulls = 0;
  const engine = await engineSocket({}, (url, response) => {
    if (url.startsWith("/images/create")) {
      pulls++;
      pull(response);
    } else if (images.some((image) => url.startsWith(`/images/${image}/json`))) response.end("{}");
    else response.writeHead(404).end('{"message":"No such image"}');
  });
  const { docker } = await connect(engine.host, log);
  return { docker, pulls: () => pulls, [Symbol.asyncDispose]: () => engine[Symbol.asyncDispose]() };
}

const noRegistry = (response: ServerResponse) => response.writeHead(500).end('{"message":"no such host"}');
const failsLater = (response: ServerResponse) => response.end('{"status":"Pulling"}\n{"error":"connection reset"}\n');
const succeeds = (response: ServerResponse) => response.end('{"status":"Pulling"}\n{"status":"Done"}\n');

test("the image that the user named goes before all", async () => {
  await using engine = await engineWith([OFFICIAL, OWN], succeeds);
  vi.stubEnv("KERNELBOX_BASE_IMAGE", "site/debian:13");
  expect(await baseImage(engine.docker, log, signal)).toBe("site/debian:13");
});

test("the official image is used where it is, and pulled where it is not", async () => {
  vi.stubEnv("KERNELBOX_BASE_IMAGE", "");
  await using local = await engineWith([OFFICIAL, OWN], noRegistry);
  expect(await baseImage(local.docker, log, signal)).toBe(OFFICIAL);
  expect(local.pulls()).toBe(0);
  await using remote = await engineWith([OWN], succeeds);
  expect(await baseImage(remote.docker, log, signal)).toBe(OFFICIAL);
  expect(remote.pulls()).toBe(1);
});

test.for([
  ["refuses", noRegistry],
  ["fails half-way", failsLater],
] as const)("where the pull %s, our own image is used", async ([, pull]) => {
  vi.stubEnv("KERNELBOX_BASE_IMAGE", "");
  await using engine = await engineWith([OWN], pull);
  expect(await baseImage(engine.docker, log, signal)).toBe(OWN);
});

test("who is not root is told the exact command, where there is no image at all", async () => {
  vi.stubEnv("KERNELBOX_BASE_IMAGE", "");
  const getuid = vi.spyOn(process, "getuid").mockReturnValue(1000);
  await using engine = await engineWith([], noRegistry);
  await expect(baseImage(engine.docker, log, signal)).rejects.toMatchObject({
    code: "engine_unavailable",
    hint: expect.stringMatching(/sudo bash \/.*scripts\/base-image\.sh/),
  });
  getuid.mockRestore();
});

test("a pull that is cancelled is cancelled, not taken for a missing registry", async () => {
  vi.stubEnv("KERNELBOX_BASE_IMAGE", "");
  await using engine = await engineWith([OWN], () => {});
  await expect(baseImage(engine.docker, log, AbortSignal.timeout(50))).rejects.toMatchObject({ code: "cancelled" });
});
