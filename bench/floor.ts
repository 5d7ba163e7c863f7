import { readFile } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import type { Bencher } from "./client.ts";
import { Samples } from "./samples.ts";

const CODE = join(import.meta.dirname, "floor_jupyter_client.py");

/** One of the floors of floor_jupyter_client.py, in the bencher's own sandbox. */
export async function floorOf(bencher: Bencher, floor: string, name: string, env: Record<string, string> = {}): Promise<Samples> {
  const fields = await bencher.run(await readFile(CODE, "utf8"), { env: { FLOOR: floor, ...env }, timeout_s: 300 });
  return new Samples(name, "ms", z.array(z.number()).parse(fields.result_json));
}
