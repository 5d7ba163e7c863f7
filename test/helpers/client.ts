import { tmpdir } from "node:os";
import { Client as ClientV2 } from "@modelcontextprotocol/client";
import { StdioClientTransport as StdioV2 } from "@modelcontextprotocol/client/stdio";
import { Client as ClientV1 } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport as StdioV1 } from "@modelcontextprotocol/sdk/client/stdio.js";

/**
 * The hosts of today and of tomorrow: the first generation of the SDK, which speaks 2025-11-25, and the second, which speaks that or 2026-07-28.
 */
export const HOSTS = ["sdk 1, 2025-11-25", "sdk 2, 2025-11-25", "sdk 2, 2026-07-28"] as const;
export type Host = (typeof HOSTS)[number];

/** A reply as our tests read it. */
export interface Reply {
  isError: boolean;
  text: string;
  images: { data: string; mimeType: string }[];
  links: { uri: string; name: string }[];
  // biome-ignore lint/suspicious/noExplicitAny: tests read fields of many shapes, and a wrong one fails them
  structured: any;
  error: { code: string; message: string; hint: string; details?: Record<string, unknown> } | undefined;
  bytes: number;
}

export interface CallOptions {
  signal?: AbortSignal;
  onprogress?: (progress: { progress: number; message?: string | undefined }) => void;
  timeout?: number;
}

export interface TestClient extends AsyncDisposable {
  pid: number;
  /** The protocol version that both sides agreed on. */
  protocol: string | undefined;
  stderr: () => string;
  call: (name: string, args?: Record<string, unknown>, options?: CallOptions) => Promise<Reply>;
  run: (code: string, args?: Record<string, unknown>, options?: CallOptions) => Promise<Reply>;
  readResource: (uri: string) => Promise<{ mimeType?: string; text?: string; blob?: string }>;
  // biome-ignore lint/suspicious/noExplicitAny: the two SDK generations type their results differently
  client: any;
  close: () => Promise<void>;
}

/** The image that tests run in; another one may be named while the default is being changed. */
export const TEST_IMAGE = process.env.KERNELBOX_TEST_IMAGE ?? "full";
export const SERVER = ["dist/main.js", "--image", TEST_IMAGE];

/** Starts the built server over stdio, as a host does, and connects to it. */
export async function startClient(
  host: Host = "sdk 2, 2026-07-28",
  flags: string[] = [],
  env: Record<string, string> = {},
): Promise<TestClient> {
  const server = {
    command: process.execPath,
    args: [...SERVER, "--log-level", "debug", ...flags],
    stderr: "pipe" as const,
    env: { PATH: process.env.PATH ?? "", HOME: process.env.HOME ?? "", TMPDIR: tmpdir(), ...env },
  };
  let log = "";
  const isFirst = host === "sdk 1, 2025-11-25";
  const transport = isFirst ? new StdioV1(server) : new StdioV2(server);
  transport.stderr?.on("data", (chunk) => {
    log = (log + String(chunk)).slice(-100_000);
  });
  const info = { name: "kernelbox-test", version: "1" };
  const client = isFirst
    ? new ClientV1(info)
    : new ClientV2(info, { versionNegotiation: { mode: host === "sdk 2, 2026-07-28" ? { pin: "2026-07-28" } : "legacy" } });
  let protocol: string | undefined;
  if (transport instanceof StdioV1) {
    // The first generation tells its transport only.
    Object.assign(transport, {
      setProtocolVersion: (version: string) => {
        protocol = version;
      },
    });
  }
  // biome-ignore lint/suspicious/noExplicitAny: the two SDK generations have types of their own
  await (client as any).connect(transport);
  const call = async (name: string, args: Record<string, unknown> = {}, options: CallOptions = {}): Promise<Reply> => {
    const settings = { timeout: 110_000, ...options };
    const result = isFirst
      ? await (client as ClientV1).callTool({ name, arguments: args }, undefined, settings as never)
      : await (client as ClientV2).callTool({ name, arguments: args }, settings as never);
    return replyOf(result as Record<string, unknown>);
  };
  return {
    pid: transport.pid ?? 0,
    protocol: client instanceof ClientV2 ? client.getNegotiatedProtocolVersion() : protocol,
    stderr: () => log,
    client,
    call,
    run: (code, args = {}, options = {}) => call("execute_code", { code, ...args }, options),
    readResource: async (uri) => {
      // biome-ignore lint/suspicious/noExplicitAny: as above
      const { contents } = await (client as any).readResource({ uri });
      return contents[0];
    },
    close: () => client.close(),
    [Symbol.asyncDispose]: async () => await client.close(),
  };
}

function replyOf(result: Record<string, unknown>): Reply {
  // biome-ignore lint/suspicious/noExplicitAny: as above
  const content = (result.content ?? []) as any[];
  const meta = (result._meta ?? {}) as Record<string, unknown>;
  return {
    isError: result.isError === true,
    text: content
      .filter((block) => block.type === "text")
      .map((block) => block.text)
      .join("\n"),
    images: content.filter((block) => block.type === "image"),
    links: content.filter((block) => block.type === "resource_link"),
    structured: result.structuredContent,
    error: meta["kernelbox/error"] as Reply["error"],
    bytes: Buffer.byteLength(JSON.stringify(result)),
  };
}
