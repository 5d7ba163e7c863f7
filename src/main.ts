#!/usr/bin/env node
import { Command } from "commander";
import { createApp } from "./app.ts";
import { type Config, FLAGS, readConfig } from "./config.ts";
import { doctor } from "./doctor/doctor.ts";
import { setUpImage } from "./doctor/set-up-image.ts";
import { KernelboxError } from "./errors.ts";
import { createLog, type Log } from "./log.ts";
import { startStdio } from "./mcp/stdio.ts";
import { sweep } from "./sandboxes/sweep.ts";
import { VERSION } from "./version.ts";

/** How long the end may take before the process leaves anyway; the leases end what is left. */
const CLOSE_MS = 25_000;

const program = new Command("kernelbox")
  .description(
    "A code interpreter for AI agents: an MCP server that runs code in Jupyter kernels inside hardened containers.\nWithout a command it serves MCP on stdin and stdout.",
  )
  .version(VERSION)
  .showSuggestionAfterError();
for (const { flag, description, variable } of FLAGS) program.option(flag, `${description} [${variable}]`);

program.action(async () => await run(serveStdio));
program
  .command("doctor")
  .description("check Node, the engine, the image and a real execution, and say how to mend what is wrong")
  .action(async () => await run(doctor));
program
  .command("setup")
  .description("build the sandbox image if it is missing")
  .action(async () => await run(setUpImage));
program
  .command("reap")
  .description("remove containers that dead servers left")
  .action(async () => await run(reap));

async function run(command: (config: Config, log: Log) => Promise<number>): Promise<void> {
  try {
    const config = readConfig(program.opts(), process.env);
    process.exitCode = await command(config, createLog(config.logLevel));
  } catch (thrown) {
    const error = KernelboxError.from(thrown);
    process.stderr.write(`kernelbox: ${error.message}\n${error.hint}\n`);
    if (error.details !== undefined) process.stderr.write(`${JSON.stringify(error.details, null, 2)}\n`);
    if (error.code === "internal") process.stderr.write(`${String((error.cause as Error)?.stack ?? error.cause)}\n`);
    process.exitCode = 1;
  }
  if (process.exitCode !== undefined && process.exitCode !== 0) process.exit();
}

/** Until stdin ends or a signal comes. */
async function serveStdio(config: Config, log: Log): Promise<number> {
  const app = await createApp(config, log);
  const server = startStdio(app.services, log);
  log.info({ version: VERSION }, "serving MCP on stdio");
  const why = await new Promise<string>((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => resolve(signal));
    process.stdin.once("end", () => resolve("end of stdin"));
    process.stdin.once("close", () => resolve("end of stdin"));
    process.stdout.once("error", () => resolve("stdout is closed"));
  });
  log.info({ why }, "closing");
  setTimeout(() => process.exit(1), CLOSE_MS).unref();
  await server.close();
  await app.close();
  // A host that keeps our stdin open must not keep this process.
  process.exit(0);
}

async function reap(config: Config, log: Log): Promise<number> {
  const app = await createApp(config, log);
  try {
    const removed = await sweep(app.engine, app.owner, log);
    process.stdout.write(`${removed} containers removed\n`);
    return 0;
  } finally {
    await app.close();
  }
}

await program.parseAsync();
