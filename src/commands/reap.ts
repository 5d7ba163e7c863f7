import type { App } from "../app.ts";
import type { Config } from "../config.ts";
import type { Log } from "../log.ts";
import { sweep } from "../sandboxes/sweep.ts";

/** `kernelbox reap`: removes what dead servers left. A server does the same when it makes its first sandbox. */
export async function reap(app: App, _config: Config, log: Log): Promise<number> {
  const removed = await sweep(app.engine, app.owner, log);
  process.stdout.write(`${removed} containers removed\n`);
  return 0;
}
