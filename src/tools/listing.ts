import * as z from "zod";
import { type LanguageName, languageNotes } from "../contexts/languages.ts";
import type { Tool } from "./define-tool.ts";

type JsonSchema = z.core.JSONSchema.JSONSchema;

/** What of a server's settings tools tell. */
export interface Surroundings {
  languages: readonly LanguageName[];
  /** What sandboxes can reach, as a sentence. */
  network: string;
}

/** A tool as hosts see it in `tools/list`, where every character costs every conversation. */
export function listing(tool: Tool, { languages, network }: Surroundings) {
  return {
    name: tool.name,
    title: tool.title,
    description: tool.tellsNetwork ? `${tool.description} ${network}` : tool.description,
    annotations: { title: tool.title, ...tool.annotations },
    inputSchema: inputSchema(tool, languages),
    outputSchema: terse(z.toJSONSchema(tool.output, { io: "output", unrepresentable: "any" })),
  };
}

/**
 * `language` lists what the configured image has, and where it is described also what each can and cannot do. A call may name any language there is, so
 * that it is told which image has it.
 */
function inputSchema(tool: Tool, languages: readonly LanguageName[]): JsonSchema {
  const schema = terse(z.toJSONSchema(tool.input, { io: "input", unrepresentable: "any" }));
  const language = schema.properties?.language;
  if (typeof language !== "object") return schema;
  const described = language.description === undefined ? {} : { description: `${language.description} ${languageNotes(languages)}.` };
  return { ...schema, properties: { ...schema.properties, language: { ...language, enum: [...languages], ...described } } };
}

/** Without what says nothing: the dialect that is MCP's default, that names of members are text, and that an integer is one a program can hold. */
function terse(schema: JsonSchema): JsonSchema {
  return JSON.parse(JSON.stringify(schema), (key, value) => {
    if (key === "$schema" || key === "propertyNames") return undefined;
    if ((key === "maximum" || key === "minimum") && Math.abs(value) === Number.MAX_SAFE_INTEGER) return undefined;
    return value;
  }) as JsonSchema;
}
