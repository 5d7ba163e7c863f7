import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type * as z from "zod";
import { LANGUAGE_NAMES } from "../src/contexts/languages.ts";
import { networkNote } from "../src/sandboxes/network-policy.ts";
import { toolsOf } from "../src/tools/index.ts";
import { listing } from "../src/tools/listing.ts";
import { PROFILES } from "../src/tools/profiles.ts";

/** The page of all tools, from the very schemas that hosts are given, so that it cannot be out of date. */

const PAGE = join(import.meta.dirname, "../docs/tools.md");
const HINTS = { readOnlyHint: "only reads", destructiveHint: "may destroy", idempotentHint: "the same twice as once" };

type Schema = z.core.JSONSchema.JSONSchema;

export function toolsPage(): string {
  const parts = PROFILES.map((profile) => [profile, toolsOf([profile])] as const).filter(([, tools]) => tools.length > 0);
  return [
    "# Tools",
    "",
    "Made from the tools' own definitions by `npm run docs`. A server offers the profiles that `--tools` names (`core` where nothing is said, `all` for everything).",
    "Every tool takes only the arguments that stand here; errors are in [errors.md](errors.md).",
    ...parts.flatMap(([profile, tools]) => [
      "",
      `## ${profile}`,
      ...tools.flatMap((tool) => section(listing(tool, { languages: LANGUAGE_NAMES, network: networkNote({ mode: "none", hosts: [] }) }))),
    ]),
    "",
  ].join("\n");
}

function section({ name, description, annotations, inputSchema, outputSchema }: ReturnType<typeof listing>): string[] {
  const hints = Object.entries(HINTS).flatMap(([hint, words]) => (annotations[hint as keyof typeof HINTS] ? [words] : []));
  return [
    "",
    `### ${name}`,
    "",
    `${description}${hints.length === 0 ? "" : ` *(${hints.join(", ")})*`}`,
    "",
    "| argument | type | default | |",
    "|---|---|---|---|",
    ...fieldsOf(inputSchema).map(([field, schema, isRequired]) =>
      row(`\`${field}\``, type(schema), fallback(schema, isRequired), schema.description),
    ),
    "",
    "| result | type | |",
    "|---|---|---|",
    ...fieldsOf(outputSchema).map(([field, schema]) => row(`\`${field}\``, type(schema), schema.description)),
  ];
}

function fieldsOf(schema: Schema): [name: string, schema: Schema, isRequired: boolean][] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, field]) =>
    typeof field === "object" ? [[name, field, schema.required?.includes(name) === true]] : [],
  );
}

function fallback(schema: Schema, isRequired: boolean): string {
  if (schema.default !== undefined) return `\`${JSON.stringify(schema.default)}\``;
  return isRequired ? "required" : "";
}

function type(schema: Schema): string {
  if (schema.enum !== undefined) return schema.enum.map((value) => `\`${value}\``).join(", ");
  const either = schema.anyOf ?? schema.oneOf;
  if (either !== undefined) return either.map((each) => (typeof each === "object" ? type(each) : "any")).join(" or ");
  if (schema.type === "array")
    return `list of ${typeof schema.items === "object" && !Array.isArray(schema.items) ? type(schema.items) : "any"}`;
  if (schema.type === "object") {
    const names = Object.keys(schema.properties ?? {});
    return names.length === 0 ? "object" : `{ ${names.map((name) => `\`${name}\``).join(", ")} }`;
  }
  const bounds = [schema.minimum ?? schema.exclusiveMinimum, schema.maximum ?? schema.exclusiveMaximum].filter(
    (bound) => bound !== undefined,
  );
  return `${[schema.type ?? "any"].flat().join(" or ")}${bounds.length === 2 ? ` ${bounds[0]} to ${bounds[1]}` : ""}`;
}

function row(...cells: (string | undefined)[]): string {
  return `| ${cells.map((cell) => (cell ?? "").replaceAll("|", "\\|").replaceAll("\n", " ")).join(" | ")} |`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(PAGE, toolsPage());
