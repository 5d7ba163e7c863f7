import { join } from "node:path";
import { Client } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";

const ROOT = join(import.meta.dirname, "..");

export interface Fields {
  status?: string;
  result?: string | null;
  // biome-ignore lint/suspicious/noExplicitAny: whatever the code's last value is
  result_json?: any;
  context_id?: string;
  duration_ms?: number;
  execution_id?: string;
}

/** A host that counts the replies that are not what they should be. */
export class Bencher {
  readonly #client = new Client({ name: "kernelbox-bench", version: "1" }, { versionNegotiation: { mode: "auto" } });
  wrong = 0;

  static async start(flags: string[]): Promise<Bencher> {
    const bencher = new Bencher();
    const args = [join(ROOT, "dist/main.js"), "--log-level", "error", ...flags];
    await bencher.#client.connect(new StdioClientTransport({ command: process.execPath, args }));
    return bencher;
  }

  async call(name: string, args: Record<string, unknown> = {}, onprogress?: (message: string) => void): Promise<Fields> {
    const options = {
      timeout: 200_000,
      ...(onprogress && { onprogress: (progress: { message?: string }) => onprogress(progress.message ?? "") }),
    };
    const reply = await this.#client.callTool({ name, arguments: args }, options);
    if (reply.isError) throw new Error(`${name}: ${JSON.stringify(reply.content)}`);
    return (reply.structuredContent ?? {}) as Fields;
  }

  async run(code: string, args: Record<string, unknown> = {}, onprogress?: (message: string) => void): Promise<Fields> {
    return await this.call("execute_code", { code, ...args }, onprogress);
  }

  /** `1+1`, which must be 2. */
  async evaluate(args: Record<string, unknown> = {}): Promise<void> {
    if ((await this.run("1+1", args)).result !== "2") this.wrong++;
  }

  async newContext(args: Record<string, unknown> = {}): Promise<string> {
    return (await this.call("create_context", args)).context_id ?? "";
  }

  async close(): Promise<void> {
    await this.#client.close();
  }
}
