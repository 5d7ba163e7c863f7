import * as z from "zod";
import type { Inspection, Usage } from "../contexts/inspection.ts";
import { memoryText } from "../events/loss-message.ts";
import { legible, quoted } from "../events/quoted.ts";

/** What is in a context, in the names of the tool contract and as text. */

/** Hosts pay for each word of a schema in every conversation: a reply has more than is spelt out here. */
export const inspectionOutput = { variables: z.array(z.looseObject({ name: z.string() })).nullable() };

export function inspectionFields({ currentCwd, variables, packages, usage, completions, inspection, notices }: Inspection) {
  return {
    current_cwd: currentCwd,
    variables:
      variables?.map(({ name, type, shape, sizeBytes, preview }) => ({ name, type, shape, size_bytes: sizeBytes, preview })) ?? null,
    packages,
    usage: usage === null ? null : usageFields(usage),
    completions:
      completions === null
        ? null
        : { matches: completions.matches, cursor_start: completions.cursorStart, cursor_end: completions.cursorEnd },
    inspection,
    notices,
  };
}

function usageFields({ memoryBytes, cpuSeconds, processes, sandbox }: Usage): Record<string, number> {
  return {
    memory_bytes: memoryBytes,
    cpu_s: cpuSeconds,
    processes,
    sandbox_memory_bytes: sandbox.memoryBytes,
    sandbox_memory_limit_bytes: sandbox.memoryLimitBytes,
    sandbox_memory_peak_bytes: sandbox.memoryPeakBytes,
    sandbox_cpu_s: sandbox.cpuSeconds,
    sandbox_processes: sandbox.processes,
  };
}

/** One line for each thing; names and values are the code's own, so they are escaped or fenced. */
export function inspectionText({ currentCwd, variables, packages, usage, completions, inspection, notices }: Inspection): string[] {
  const lines: string[] = [];
  if (currentCwd !== null) lines.push(`Works in ${quoted(currentCwd)}`);
  if (usage !== null) lines.push(usageText(usage));
  if (variables !== null) lines.push(variables.length === 0 ? "No variables." : "Variables:", ...variables.map(variableText));
  if (packages !== null) lines.push(`Packages: ${packages.map(({ name, version }) => `${legible(name)} ${legible(version)}`).join(", ")}`);
  if (completions !== null) {
    const place = `for characters ${completions.cursorStart} to ${completions.cursorEnd}`;
    lines.push(
      completions.matches.length === 0
        ? "No completions."
        : `Completions ${place}: ${completions.matches.map((match) => quoted(match)).join(", ")}`,
    );
  }
  if (inspection !== null) {
    lines.push(
      inspection.text === null
        ? "The kernel tells nothing of such a name."
        : `What the kernel knows of the name:\n${indented(inspection.text)}`,
    );
  }
  return [...lines, ...notices.map((notice) => `Note: ${notice}`)];
}

function variableText({ name, type, shape, sizeBytes, preview }: NonNullable<Inspection["variables"]>[number]): string {
  const facts = [
    legible(type),
    ...(shape === null ? [] : [`[${shape.join(", ")}]`]),
    ...(sizeBytes === null ? [] : [`${sizeBytes} bytes`]),
  ];
  return `- ${legible(name)}: ${facts.join(", ")}${preview === null ? "" : ` = ${legible(preview)}`}`;
}

function usageText({ memoryBytes, cpuSeconds, processes, sandbox }: Usage): string {
  const limit = sandbox.memoryLimitBytes === 0 ? "" : ` of ${memoryText(sandbox.memoryLimitBytes)}`;
  return (
    `Uses ${memoryText(memoryBytes)} and ${cpuSeconds} CPU s in ${processes} processes; the sandbox ` +
    `${memoryText(sandbox.memoryBytes)}${limit} (peak ${memoryText(sandbox.memoryPeakBytes)}), ${sandbox.cpuSeconds.toFixed(1)} CPU s, ${sandbox.processes} processes and threads`
  );
}

/** No line of it can be taken for one of ours. */
function indented(text: string): string {
  return text
    .trimEnd()
    .split("\n")
    .map((line) => `    ${line}`)
    .join("\n");
}
