import * as z from "zod";
import { type LanguageName, languageNotes } from "../contexts/languages.ts";
import type { Tool } from "./define-tool.ts";

/**
 * A tool's arguments as hosts see them: `language` lists what the configured image has, and where it is described also what each can and cannot do.
 * A call may name any language there is, so that it is told which image has it.
 */
export function inputSchema(tool: Tool, languages: readonly LanguageName[]) {
  const schema = z.toJSONSchema(tool.input, { io: "input", unrepresentable: "any" });
  const language = schema.properties?.language;
  if (typeof language !== "object") return schema;
  const described = language.description === undefined ? {} : { description: `${language.description} ${languageNotes(languages)}.` };
  return { ...schema, properties: { ...schema.properties, language: { ...language, enum: [...languages], ...described } } };
}
