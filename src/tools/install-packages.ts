import * as z from "zod";
import { LIMITS } from "../limits.ts";
import type { InstallReply } from "../packages/packages.ts";
import { MANAGERS } from "../packages/requested-packages.ts";
import { defineTool } from "./define-tool.ts";
import { sandboxId } from "./fields.ts";
import { progressOf } from "./progress.ts";

const named = z.array(z.strictObject({ name: z.string(), version: z.string() }));

export const installPackages = defineTool({
  name: "install_packages",
  title: "Install packages",
  profile: "sandboxes",
  description:
    "Install Python packages (only wheels) or npm packages into the sandbox; contexts that run can import them at once. What is there already is said without a network.",
  tellsNetwork: true,
  effect: "make",
  input: {
    packages: z.array(z.string()).min(1).describe('Names with versions where needed: "httpx[http2]>=0.27", "zod@^4".'),
    manager: z.enum(MANAGERS).default("pip"),
    timeout_s: z.number().positive().max(LIMITS.installSeconds.max).default(LIMITS.installSeconds.default),
    sandbox_id: sandboxId,
  },
  output: {
    sandbox_id: z.string(),
    manager: z.enum(MANAGERS),
    status: z.enum(["installed", "already_installed", "running"]).describe("running: call again with the same arguments to wait for it."),
    installed: named.describe("With what they need."),
    already_installed: named,
    duration_ms: z.number(),
  },
  run: async (input, call) => {
    const { principal, signal, services } = call;
    const progress = call.onProgress === undefined ? undefined : progressOf(call.onProgress);
    const { manager, packages, timeout_s: timeoutSeconds, sandbox_id } = input;
    try {
      const reply = await services.packages.install(
        { manager, packages, timeoutSeconds, sandboxId: sandbox_id },
        { principal, signal, onProgress: progress?.onOutput },
      );
      return {
        structured: {
          sandbox_id: reply.sandboxId,
          manager,
          status: reply.status,
          installed: reply.installed,
          already_installed: reply.alreadyInstalled,
          duration_ms: Math.round(reply.durationMs),
        },
        blocks: [{ type: "text", text: prose(reply, manager) }],
      };
    } finally {
      progress?.stop();
    }
  },
});

function prose({ status, installed, alreadyInstalled, replaced }: InstallReply, manager: (typeof MANAGERS)[number]): string {
  if (status === "running") return "Still installing. Call install_packages again with the same arguments to wait for it.";
  const list = (packages: { name: string; version: string }[]) => packages.map(({ name, version }) => `${name} ${version}`).join(", ");
  const lines = [];
  if (installed.length > 0) lines.push(`Installed: ${list(installed)}.`);
  if (alreadyInstalled.length > 0) lines.push(`Already there: ${list(alreadyInstalled)}.`);
  if (lines.length === 0) lines.push("All is there already.");
  if (replaced.length > 0) lines.push("Contexts that have imported an earlier version keep that one until restart_context.");
  if (manager === "npm" && installed.length > 0) lines.push('Import them as npm:<name>, such as import x from "npm:zod".');
  return lines.join("\n");
}
