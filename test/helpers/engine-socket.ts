import { mkdtemp, rm } from "node:fs/promises";
import http from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface EngineSocket extends AsyncDisposable {
  /** As in DOCKER_HOST. */
  host: string;
}

/**
 * A socket that answers as a Docker engine would that no machine of ours has: one that lacks something, or never comes to an end. `/info` is
 * answered with the members given, everything else by the callback.
 */
export async function engineSocket(
  info: object,
  answer: (url: string, response: http.ServerResponse, method: string) => void,
): Promise<EngineSocket> {
  const folder = await mkdtemp(join(tmpdir(), "kernelbox-"));
  const server = http.createServer((request, response) => {
    const url = decodeURIComponent(request.url ?? "").replace(/^\/v[\d.]+/, "");
    response.setHeader("content-type", "application/json");
    if (url.startsWith("/info")) response.end(JSON.stringify(info));
    else answer(url, response, request.method ?? "");
  });
  await new Promise<void>((resolve) => server.listen(join(folder, "engine.sock"), resolve));
  return {
    host: `unix://${join(folder, "engine.sock")}`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
      await rm(folder, { recursive: true });
    },
  };
}
