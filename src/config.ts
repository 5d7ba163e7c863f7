import { realpathSync, statSync } from "node:fs";
import { delimiter, resolve } from "node:path";
import * as z from "zod";
import { KernelboxError } from "./errors.ts";
import { LIMITS } from "./limits.ts";
import { hostPattern, NETWORK_MODES } from "./sandboxes/network-policy.ts";
import { PROFILES, type Profile } from "./tools/profiles.ts";

/**
 * Every setting: a flag, an environment variable KERNELBOX_…, a default, a unit. `--help` is made from this, and a flag wins over the environment.
 */

const { container } = LIMITS;
const MIB = 1024 * 1024;

const TOOL_SETS = [...PROFILES, "all"] as const;

/** Names of profiles, with commas between them. */
const profiles = z
  .string()
  .default("core")
  .transform((text, context): readonly Profile[] => {
    const named = z.array(z.enum(TOOL_SETS)).safeParse(text.split(",").map((name) => name.trim()));
    if (named.success) return PROFILES.filter((profile) => named.data.includes(profile) || named.data.includes("all"));
    context.addIssue({ code: "custom", message: `it takes ${TOOL_SETS.join(", ")}, with commas between` });
    return z.NEVER;
  })
  .describe(`which tools are offered, since each costs the model some attention: ${TOOL_SETS.join(", ")}, with commas between`);

/** A number with its unit; every refusal says the whole of what is taken, and so does `--help`. */
function quantity(what: string, unit: string, min: number, max: number, fallback: number, kind: "whole" | "any" = "whole") {
  const range = `${kind === "whole" ? "a whole number" : "a number"}${unit === "" ? "" : ` of ${unit}`} from ${min} to ${max}`;
  const error = `it takes ${range}`;
  const number = z.coerce.number({ error }).min(min, error).max(max, error);
  return (kind === "whole" ? number.int(error) : number).default(fallback).describe(`${what}: ${range}`);
}

/** Host names, with commas between them where several are in one value. */
const hostPatterns = z.string().transform((value, context): string[] => {
  const written = value.split(",").map((text) => text.trim());
  try {
    return written.filter((text) => text !== "").map(hostPattern);
  } catch (error) {
    context.addIssue({ code: "custom", message: `${JSON.stringify(value.slice(0, LIMITS.nameCharacters))}: ${(error as Error).message}` });
    return z.NEVER;
  }
});

/** A folder of the host that files may go in and out of. */
export interface HostDir {
  /** As it was named, absolute. */
  given: string;
  /** The same without a link on the way. */
  real: string;
  isReadOnly: boolean;
}

/** A folder whose own name ends in `:ro` is written with a slash behind it. */
const READ_ONLY = ":ro";

const hostDir = z.string().transform((value, context): HostDir => {
  const isReadOnly = value.endsWith(READ_ONLY);
  const given = resolve(isReadOnly ? value.slice(0, -READ_ONLY.length) : value);
  const real = realDirectory(given);
  if (real !== undefined) return { given, real, isReadOnly };
  context.addIssue({ code: "custom", message: `${JSON.stringify(given)} is not there, is not a directory, or may not be read` });
  return z.NEVER;
});

function realDirectory(path: string): string | undefined {
  try {
    const real = realpathSync(path);
    return statSync(real).isDirectory() ? real : undefined;
  } catch {
    return undefined;
  }
}

const settings = {
  image: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9._/:@-]{0,255}$/, "not the name of an image")
    .default("full")
    .describe("image flavour (core, full, full-r) or reference"),
  dockerHost: z.string().optional().describe("Docker engine, as in DOCKER_HOST (default: found where your docker client finds it)"),
  memory: quantity("memory of a sandbox, its workspace included", "MiB", 256, 1024 * 1024, container.memoryBytes / MIB),
  workspace: quantity("size of /home/user", "MiB", 16, 1024 * 1024, container.workspaceBytes / MIB),
  workspaceOn: z
    .enum(["memory", "volume"])
    .default("memory")
    .describe("where /home/user lies: memory, or volume, for files larger than that: the engine's disk, whose size bound needs quotas"),
  cpus: quantity("processors of a sandbox", "", 0.1, 1024, container.cpus, "any"),
  pids: quantity("processes and threads of a sandbox", "", 64, 32_768, container.pids),
  runtime: z
    .string()
    .regex(/^[A-Za-z0-9._-]{1,64}$/, "not the name of a runtime")
    .optional()
    .describe("container runtime: runsc, kata, … (default: the engine's)"),
  network: z
    .enum(NETWORK_MODES)
    .default("none")
    .describe(
      "what sandboxes reach: none, allowlist (the hosts that --allow-host names), or open (every public host); never this machine or what is private",
    ),
  allowHost: z
    .array(hostPatterns)
    .transform((lists) => [...new Set(lists.flat())])
    .pipe(z.array(z.string()).max(LIMITS.egress.hosts, `it takes at most ${LIMITS.egress.hosts} hosts`))
    .default([])
    .describe(
      "host that sandboxes may reach over HTTP and HTTPS with --network allowlist, NAME or *.NAME for all below it; may be repeated",
    ),
  lease: quantity(
    "after how long a sandbox whose server is gone ends by itself",
    "seconds",
    LIMITS.leaseSeconds.min,
    LIMITS.leaseSeconds.max,
    LIMITS.leaseSeconds.default,
  ),
  softDeadline: quantity(
    "after how long execute_code answers while its code goes on",
    "seconds",
    LIMITS.softDeadlineSeconds.min,
    LIMITS.softDeadlineSeconds.max,
    LIMITS.softDeadlineSeconds.default,
  ),
  pool: quantity("sandboxes kept ready, so that the first execution does not wait for one to start", "", 0, LIMITS.pool.max, 0),
  tools: profiles,
  allowDir: z
    .array(hostDir)
    .max(LIMITS.allowedDirs)
    .default([])
    .describe(
      "folder of this machine that upload_file reads and download_file writes, DIR or DIR:ro; may be repeated, none by default (a folder whose own name ends in :ro is written with a slash behind it)",
    ),
  saveDir: z
    .string()
    .transform((value, context) => {
      const real = realDirectory(resolve(value));
      if (real !== undefined) return real;
      context.addIssue({
        code: "custom",
        message: `${JSON.stringify(resolve(value))} is not there, is not a directory, or may not be read`,
      });
      return z.NEVER;
    })
    .optional()
    .describe("folder of this machine that each picture which code makes is written into"),
  logLevel: z
    .enum(["trace", "debug", "info", "warn", "error", "silent"])
    .optional()
    .describe("what goes to stderr (default: info for the server, less for commands)"),
};

export const configSchema = z
  .object(settings)
  .refine((config) => config.workspaceOn === "volume" || config.workspace < config.memory, {
    path: ["workspace"],
    message: "the workspace is part of the memory, so it must be smaller; --workspace-on volume has room for more",
  })
  .refine((config) => config.network === "allowlist" || config.allowHost.length === 0, {
    path: ["allowHost"],
    message: "hosts are allowed one by one with --network allowlist only",
  })
  .refine((config) => config.network !== "allowlist" || config.allowHost.length > 0, {
    path: ["network"],
    message: "an allowlist needs at least one --allow-host",
  });
export type Config = z.infer<typeof configSchema>;

export interface Flag {
  key: keyof Config;
  flag: string;
  variable: string;
  description: string;
  /** It may be given more than once. */
  isRepeatable: boolean;
}

const kebab = (key: string) => key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

/** The flags, in the order of the table above. */
export const FLAGS: readonly Flag[] = Object.entries(settings).map(([key, schema]) => {
  const fallback = schema.safeParse(undefined);
  const isRepeatable = schema.safeParse([]).success;
  const suffix = fallback.success && fallback.data !== undefined && !isRepeatable ? ` (default: ${fallback.data})` : "";
  return {
    key: key as keyof Config,
    flag: `--${kebab(key)} <value>`,
    variable: `KERNELBOX_${kebab(key).replaceAll("-", "_").toUpperCase()}`,
    description: `${schema.description ?? ""}${suffix}`,
    isRepeatable,
  };
});

/** The settings from flags and environment. Throws `invalid_argument` that names the flag. */
export function readConfig(flags: Record<string, unknown>, env: NodeJS.ProcessEnv): Config {
  const given = Object.fromEntries(
    FLAGS.map(({ key, variable, isRepeatable }) => {
      const value = env[variable] === "" ? undefined : env[variable];
      return [key, flags[key] ?? (isRepeatable && value !== undefined ? splitList(value) : value)];
    }),
  );
  const parsed = configSchema.safeParse(given);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const key = String(issue?.path[0] ?? "");
  throw new KernelboxError(
    "invalid_argument",
    `--${kebab(key)}: ${issue?.message ?? "not valid"}.`,
    "See kernelbox --help for what it takes.",
  );
}

/** A list in one variable, like PATH. Where the delimiter is a colon, `ro` behind one belongs to what stands before it. */
function splitList(value: string): string[] {
  const items: string[] = [];
  for (const part of value.split(delimiter)) {
    if (`${delimiter}${part}` === READ_ONLY && items.length > 0) items[items.length - 1] += READ_ONLY;
    else if (part !== "") items.push(part);
  }
  return items;
}
