import { distance } from "fastest-levenshtein";
import * as z from "zod";
import type { Contexts } from "../contexts/contexts.ts";
import type { Executions } from "../contexts/executions.ts";
import type { LanguageName } from "../contexts/languages.ts";
import { KernelboxError } from "../errors.ts";
import { legible } from "../events/quoted.ts";
import type { FileChanges } from "../files/file-changes.ts";
import type { FileTree } from "../files/file-tree.ts";
import type { Files } from "../files/files.ts";
import type { HostTransfers } from "../files/host/host-transfers.ts";
import type { IdentifiedFiles } from "../files/identified-files.ts";
import type { Pictures } from "../files/pictures.ts";
import type { Search } from "../files/search.ts";
import type { Sources } from "../files/sources.ts";
import type { Packages } from "../packages/packages.ts";
import type { Processes } from "../processes/processes.ts";
import type { Profile } from "./profiles.ts";

/** What tools may call. */
export interface Services {
  /** Those whose tools this server has. */
  profiles: readonly Profile[];
  /** What the configured image has. */
  languages: readonly LanguageName[];
  /** What sandboxes can reach, as a sentence for models. */
  network: string;
  contexts: Contexts;
  executions: Executions;
  files: Files;
  identified: IdentifiedFiles;
  search: Search;
  tree: FileTree;
  changes: FileChanges;
  sources: Sources;
  pictures: Pictures;
  processes: Processes;
  packages: Packages;
  hostTransfers: HostTransfers;
}

/** Who calls, and how to reach them while they wait. */
export interface ToolCall {
  services: Services;
  principal: string;
  signal: AbortSignal;
  /** Tells the caller what happens meanwhile; undefined where they did not ask to be told. */
  onProgress?: ((message: string) => void) | undefined;
}

/** A piece of the reply for people and models that read content; `mcp/content.ts` turns it into MCP's form. */
export type Block =
  | { type: "text"; text: string }
  | { type: "image"; data: Buffer; mimeType: string }
  | { type: "link"; uri: string; name: string; mimeType?: string | undefined; sizeBytes?: number | undefined };

export interface ToolReply<O> {
  structured: O;
  blocks: Block[];
}

export interface Tool {
  name: string;
  profile: Profile;
  title: string;
  description: string;
  /** Whether what the sandbox can reach belongs behind the description. */
  tellsNetwork: boolean;
  annotations: { readOnlyHint: boolean; destructiveHint: boolean; idempotentHint: boolean; openWorldHint: boolean };
  input: z.ZodObject;
  output: z.ZodObject;
  /** Checks the arguments, runs, and gives a reply that fits the output schema. Throws KernelboxError only. */
  run(args: unknown, call: ToolCall): Promise<ToolReply<Record<string, unknown>>>;
}

/** What a tool does to the world: MCP's hints derive from it. */
type Effect = "read" | "make" | "write" | "write_idempotent" | "destroy";

const HINTS = {
  read: { readOnlyHint: true, destructiveHint: false, idempotentHint: true },
  make: { readOnlyHint: false, destructiveHint: false, idempotentHint: true },
  write: { readOnlyHint: false, destructiveHint: false, idempotentHint: false },
  write_idempotent: { readOnlyHint: false, destructiveHint: true, idempotentHint: true },
  destroy: { readOnlyHint: false, destructiveHint: true, idempotentHint: false },
} as const satisfies Record<Effect, object>;

export function defineTool<I extends z.ZodRawShape, O extends z.ZodRawShape>(definition: {
  name: string;
  /** Default `core`. */
  profile?: Profile;
  title: string;
  description: string;
  tellsNetwork?: boolean;
  effect: Effect;
  input: I;
  output: O;
  /** The reply has more fields than are listed: those of another tool's, which would cost every conversation tokens a second time. */
  isOpen?: boolean;
  run: (input: z.output<z.ZodObject<I>>, call: ToolCall) => Promise<ToolReply<z.input<z.ZodObject<O>>>>;
}): Tool {
  const input = z.strictObject(definition.input);
  return {
    name: definition.name,
    profile: definition.profile ?? "core",
    title: definition.title,
    description: definition.description,
    tellsNetwork: definition.tellsNetwork === true,
    annotations: { ...HINTS[definition.effect], openWorldHint: false },
    input,
    output: definition.isOpen === true ? z.looseObject(definition.output) : z.strictObject(definition.output),
    run: async (args, call) => {
      const parsed = input.safeParse(args ?? {});
      if (!parsed.success) throw argumentError(parsed.error, Object.keys(definition.input));
      try {
        return await definition.run(parsed.data as z.output<z.ZodObject<I>>, call);
      } catch (thrown) {
        throw call.signal.aborted ? cancelled(thrown) : KernelboxError.from(thrown);
      }
    },
  };
}

/** Whatever breaks when the caller takes the call back is that, not a failure of ours. */
function cancelled(cause: unknown): KernelboxError {
  return new KernelboxError("cancelled", "The call was cancelled.", "Nothing to do.", { cause });
}

/** Says each thing that is wrong with the arguments, and for an unknown one the name that was probably meant. */
function argumentError(error: z.ZodError, known: string[]): KernelboxError {
  const unknown = error.issues.flatMap((issue) => (issue.code === "unrecognized_keys" && issue.path.length === 0 ? issue.keys : []));
  if (unknown.length > 0) {
    const meant = nearest(unknown[0] as string, known);
    return new KernelboxError(
      "invalid_argument",
      `Unknown argument: ${unknown.map(printable).join(", ")}.`,
      meant === undefined ? `Known arguments: ${known.join(", ")}.` : `Did you mean ${meant}? Known arguments: ${known.join(", ")}.`,
      { details: { unknown_arguments: unknown.slice(0, 20).map(printable) } },
    );
  }
  const issues = error.issues.slice(0, 5).map((issue) => `${printable(issue.path.join(".")) || "arguments"}: ${issue.message}`);
  return new KernelboxError("invalid_argument", `The arguments are not right. ${issues.join("; ")}.`, "Correct them and call again.");
}

/** The known name that begins so, or that is spelt most alike; none where they are all far off. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  const plain = name.toLowerCase().replace(/[-_\s]/g, "");
  const ranked = known
    .map((candidate) => ({ candidate, spelling: candidate.replaceAll("_", "") }))
    .map(({ candidate, spelling }) => ({ candidate, distance: spelling.startsWith(plain) ? 0 : distance(plain, spelling) }))
    .sort((a, b) => a.distance - b.distance);
  const best = ranked[0];
  return best !== undefined && best.distance <= Math.max(2, name.length / 2) ? best.candidate : undefined;
}

function printable(name: string): string {
  return legible(name.slice(0, 60));
}
