import { readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Reply, startClient, type TestClient } from "../helpers/client.ts";
import { guardAgainstLeaks } from "../helpers/containers.ts";

guardAgainstLeaks();

/** More memory than this no flood may cost the server. */
const SERVER_BYTES_MAX = 64 * 1024 * 1024;
/** A neighbour's answer may wait for a processor, not for the flood. */
const NEIGHBOUR_MS = 400;

let client: TestClient;
let neighbour: string;
beforeAll(async () => {
  client = await startClient();
  neighbour = (await client.call("create_context")).structured.context_id;
  // What a server holds once it has worked.
  await client.run("for n in range(20000): print('x' * 500)");
});
afterAll(async () => await client.close());

const rssOfServer = () => Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${client.pid}/status`, "utf8"))?.[1]) * 1024;

/** Runs the flood; meanwhile looks at the server's memory, and calls the neighbour again and again. */
async function flood(code: string): Promise<{ reply: Reply; bytes: number; waits: number[] }> {
  const before = rssOfServer();
  let most = before;
  const look = setInterval(() => {
    most = Math.max(most, rssOfServer());
  }, 20);
  const waits: number[] = [];
  let isOver = false;
  const asks = (async () => {
    while (!isOver) {
      const startedAt = performance.now();
      expect((await client.run("1 + 1", { context_id: neighbour })).structured.result).toBe("2");
      waits.push(performance.now() - startedAt);
    }
  })();
  try {
    const reply = await client.run(code, { timeout_s: 100 });
    return { reply, bytes: most - before, waits };
  } finally {
    isOver = true;
    clearInterval(look);
    await asks;
  }
}

it.skipIf(process.platform !== "linux").each<[what: string, code: string, check: (reply: Reply) => Promise<void>]>([
  [
    "100 MB of text",
    "import sys\nline = 'x' * 1023 + '\\n'\nfor _ in range(102_400): sys.stdout.write(line)",
    async (reply) => {
      const [truncated] = reply.structured.truncated;
      expect(truncated).toMatchObject({ field: "stdout", total_bytes: 104_857_600 });
      const tail = await client.call("read_file", { path: truncated.rest, offset_bytes: 104_857_600 - 4, limit_bytes: 4 });
      expect(tail.structured.content).toBe("xxx\n");
    },
  ],
  [
    "50,000 small writes",
    "for n in range(50_000): print(n, flush=n % 10 == 0)",
    async (reply) => {
      const rest = reply.structured.truncated[0].rest as string;
      let text = "";
      for (let offset = 0; offset < 288_890; ) {
        const part = await client.call("read_file", { path: rest, offset_bytes: offset, limit_bytes: 50_000 });
        expect(part.error).toBeUndefined();
        text += part.structured.content;
        offset = part.structured.next_offset_bytes ?? Number.POSITIVE_INFINITY;
      }
      expect(text).toBe(Array.from({ length: 50_000 }, (_, n) => `${n}\n`).join(""));
    },
  ],
  [
    "5,000 displays",
    "from IPython.display import display\nfor n in range(5_000): display({'text/plain': f'display {n}', 'application/json': {'n': n}}, raw=True)\n'end'",
    async (reply) => {
      expect(reply.structured).toMatchObject({ status: "ok", result: "'end'" });
      const last = reply.structured.outputs.at(-1).n as number;
      expect(reply.structured.notices.join()).toMatch(new RegExp(`${5_000 - last} more outputs are not listed`));
    },
  ],
])("%s go through while a neighbour is answered, and cost the server little memory", async (_, code, check) => {
  const { reply, bytes, waits } = await flood(code);
  expect(reply.structured.status, reply.text.slice(0, 2_000)).toBe("ok");
  await check(reply);
  expect(bytes).toBeLessThan(SERVER_BYTES_MAX);
  expect(waits.toSorted((a, b) => a - b)[Math.floor(waits.length / 2)] ?? 0).toBeLessThan(NEIGHBOUR_MS);
  expect((await client.run("1 + 1")).structured.result).toBe("2");
});
