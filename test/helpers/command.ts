import { execFile } from "node:child_process";
import { promisify } from "node:util";

export interface Ended {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs the built program as a person does in a terminal. */
export async function kernelbox(args: string[], env: Record<string, string> = {}): Promise<Ended> {
  const options = { timeout: 100_000, env: { ...process.env, ...env } };
  return await promisify(execFile)(process.execPath, ["dist/main.js", ...args], options).then(
    ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
    (error: Ended) => error,
  );
}
