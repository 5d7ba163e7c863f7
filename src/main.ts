#!/usr/bin/env node
import { Command } from "commander";
import { type App, createApp } from "./app.ts";
import { doctor } from "./commands/doctor.ts";
import { reap } from "./commands/reap.ts";
import { setup } from "./commands/setup.ts";
import { type Config, FLAGS, readConfig } from "./config.ts";
import { KernelboxError } from "./errors.ts";
import { createLog, type Log } from "./log.ts";
import { startStdio } from "./mcp/stdio.ts";
import { VERSION } from "./version.ts";

/** How long the end may take before the process leaves anyway; the leases end what is left. */
const CLOSE_MS = 25_000;

const program = new Command("kernelbox")
  .description(
    "A code interpreter for AI agents: an MCP server that runs code in Jupyter kernels inside hardened containers.\nWithout a command it serves MCP on stdin and stdout.",
  )
  .version(VERSION)
  .showSuggestionAfterError();
for (const { flag, description, variable, isRepeatable } of FLAGS) {
  const help = `${description} [${variable}]`;
  if (isRepeatable) program.option(flag, help, (value: string, before: string[] | undefined) => [...(before ?? []), value]);
  else program.option(flag, help);
}

program.allowExcessArguments().action(async () => {
  const [unknown] = program.args;
  if (unknown !== undefined) program.error(`unknown command '${unknown}': use doctor, setup or reap, or none to serve MCP on stdio`);
  await run(serveStdio, "info");
});
program
  .command("doctor")
  .description("check Node, the engine, the image and a real execution, and say how to mend what is wrong")
  .action(async () => await run(doctor, "silent"));
program
  .command("setup")
  .description("build the sandbox image if it is missing")
  .action(async () => await run(setup, "warn"));
program
  .command("reap")
  .description("remove containers that dead servers left")
  .action(async () => await run(reap, "warn"));

type Action = (app: App, config: Config, log: Log) => Promise<number>;

/** Runs a command with everything it needs, and takes that down again whichever way it ends. */
async function run(action: Action, usualLevel: NonNullable<Config["logLevel"]>): Promise<never> {
  let code = 1;
  try {
    const config = readConfig(program.opts(), process.env);
    const log = createLog(config.logLevel ?? usualLevel);
    const app = await createApp(config, log);
    try {
      code = await Promise.race([action(app, config, log), unforeseen()]);
    } finally {
      setTimeout(() => process.exit(1), CLOSE_MS).unref();
      await app.close();
    }
  } catch (thrown) {
    const error = KernelboxError.from(thrown);
    process.stderr.write(`kernelbox: ${error.message}\n${error.hint}\n`);
    if (error.details !== undefined) process.stderr.write(`${JSON.stringify(error.details, null, 2)}\n`);
    if (error.code === "internal") process.stderr.write(`${String((error.cause as Error)?.stack ?? error.cause)}\n`);
  }
  // A host that keeps our stdin open must not keep this process.
  process.exit(code);
}

/** Rejects with what nobody caught, so that also a bug of ours takes down what was started. What comes while that happens changes nothing. */
function unforeseen(): Promise<never> {
  return new Promise((_, reject) => {
    for (const event of ["uncaughtException", "unhandledRejection"] as const) process.on(event, reject);
  });
}

/** Until the host leaves or a signal comes. */
async function serveStdio(app: App, _config: Config, log: Log): Promise<number> {
  const server = startStdio(app.services, log);
  log.info({ version: VERSION }, "serving MCP on stdio");
  app.fillPool();
  const why = await new Promise<string>((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => resolve(signal));
    void server.ended.then(() => resolve("the host is gone"));
  });
  log.info({ why }, "closing");
  server.close().catch((error) => log.warn({ err: error }, "the connection to the host could not be closed"));
  return 0;
}

await program.parseAsync();
