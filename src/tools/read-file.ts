import * as z from "zod";
import { KernelboxError } from "../errors.ts";
import { quoted } from "../events/quoted.ts";
import type { Caller } from "../files/files.ts";
import { typeOfContent } from "../files/media-type.ts";
import { pictureType } from "../files/picture-type.ts";
import type { Pictures } from "../files/pictures.ts";
import { readBytes, readCharacters, readLines } from "../files/read-window.ts";
import type { Source } from "../files/source.ts";
import { readUnchanged } from "../files/unchanged.ts";
import { LIMITS } from "../limits.ts";
import { defineTool, type Services, type ToolReply } from "./define-tool.ts";
import { sandboxId } from "./fields.ts";

const output = {
  path: z.string(),
  size_bytes: z.number(),
  encoding: z.enum(["utf-8", "base64"]).nullable().describe("Null for a picture, which comes as an image block."),
  content: z.string(),
  mime_type: z.string(),
  modified_at: z.string().nullable(),
  mode: z.string().nullable(),
  lines: z.number().nullable().describe("Of the whole text; null where it was not read to its end."),
  next_offset: z.number().nullable().describe("Line to go on at; null at the end."),
  offset_bytes: z.number().nullable().describe("Where a part by bytes begins, text at a whole character."),
  next_offset_bytes: z.number().nullable(),
};
type Output = z.infer<z.ZodObject<typeof output>>;

const input = {
  path: z.string().min(1).max(LIMITS.uriCharacters).describe("A path (absolute, or relative to /home/user) or a kernelbox:// URI."),
  encoding: z.enum(["utf-8", "base64"]).optional().describe("Default utf-8."),
  offset: z.int().min(1).optional().describe("First line; 1 is the first."),
  limit: z.int().min(1).optional().describe(`Lines; default ${LIMITS.readFileLines}.`),
  offset_bytes: z.int().min(0).optional(),
  limit_bytes: z.int().min(1).optional(),
  sandbox_id: sandboxId,
};
type Input = z.output<z.ZodObject<typeof input>>;

export const readFile = defineTool({
  name: "read_file",
  title: "Read file",
  description:
    "In the sandbox, not on the user's machine: read a file, or anything that a reply names with a kernelbox:// URI; kernelbox://contexts/{context_id}/notebook is all that ran in a context. Text comes by lines, pictures come as pictures, " +
    'other binary files need encoding "base64". Long ones come in parts: the reply says where to go on.',
  effect: "read",
  input,
  output,
  run: async (input, { services, principal, signal }) => {
    const byLines = input.offset !== undefined || input.limit !== undefined;
    const byBytes = input.offset_bytes !== undefined || input.limit_bytes !== undefined;
    if (byLines && (byBytes || input.encoding === "base64")) {
      throw new KernelboxError(
        "invalid_argument",
        "Lines and bytes cannot be mixed.",
        "Give offset and limit, or offset_bytes and limit_bytes.",
      );
    }
    return await readUnchanged(() => read(input, services, { principal, signal }));
  },
});

async function read(input: Input, services: Services, caller: Caller): Promise<ToolReply<Output>> {
  const byLines = input.offset !== undefined || input.limit !== undefined;
  const byBytes = input.offset_bytes !== undefined || input.limit_bytes !== undefined;
  const source = await services.sources.open({ sandboxId: input.sandbox_id, path: input.path }, caller);
  if (input.encoding === "base64") return await base64Reply(source, input.offset_bytes ?? 0, input.limit_bytes);
  if (byBytes) return await charactersReply(source, input.offset_bytes ?? 0, input.limit_bytes);
  const picture = byLines || input.encoding !== undefined ? undefined : pictureType(await readBytes(source, 0, 16));
  if (picture !== undefined) return await pictureReply(source, picture, services.pictures, caller);
  return await linesReply(source, input.offset ?? 1, input.limit ?? LIMITS.readFileLines);
}

async function linesReply(source: Source, offset: number, limit: number): Promise<ToolReply<Output>> {
  const window = await readLines(source, offset, limit);
  if (window.lines !== null && offset > Math.max(1, window.lines)) {
    const count = window.lines === 1 ? "1 line" : `${window.lines} lines`;
    throw new KernelboxError("invalid_argument", `The text has ${count}; offset ${offset} lies behind its end.`, "Use a smaller one.");
  }
  return reply(source, await typeOfContent(source.mimeType, Buffer.from(window.content)), {
    encoding: "utf-8",
    content: window.content,
    lines: window.lines,
    next_offset: window.nextOffset,
    offset_bytes: null,
    next_offset_bytes: window.nextOffsetBytes,
  });
}

async function charactersReply(source: Source, offset: number, wanted = LIMITS.readFileBytes as number): Promise<ToolReply<Output>> {
  checkOffset(source, offset);
  const window = await readCharacters(source, offset, Math.min(wanted, LIMITS.readFileBytes));
  return reply(source, await typeOfContent(source.mimeType, Buffer.from(window.content)), {
    encoding: "utf-8",
    content: window.content,
    lines: null,
    next_offset: null,
    offset_bytes: window.offsetBytes,
    next_offset_bytes: window.nextOffsetBytes,
  });
}

async function base64Reply(source: Source, offset: number, wanted = LIMITS.readFileBase64Bytes as number): Promise<ToolReply<Output>> {
  checkOffset(source, offset);
  const bytes = await readBytes(source, offset, Math.min(wanted, LIMITS.readFileBase64Bytes));
  const next = offset + bytes.length;
  return reply(source, offset === 0 ? await typeOfContent(source.mimeType, bytes) : source.mimeType, {
    encoding: "base64",
    content: bytes.toString("base64"),
    lines: null,
    next_offset: null,
    offset_bytes: offset,
    next_offset_bytes: next < source.sizeBytes ? next : null,
  });
}

function checkOffset(source: Source, offset: number): void {
  if (offset <= source.sizeBytes) return;
  throw new KernelboxError("invalid_argument", `offset_bytes ${offset} lies behind the end at ${source.sizeBytes}.`, "Use a smaller one.");
}

/** The picture, made smaller where a reply cannot hold it; the fields say what the file itself is. */
async function pictureReply(source: Source, mimeType: string, pictures: Pictures, caller: Caller): Promise<ToolReply<Output>> {
  const whole = source.sizeBytes > LIMITS.pictureBytes ? undefined : await readBytes(source, 0, source.sizeBytes);
  const shown = whole === undefined ? undefined : await pictures.fit(whole, source.sandboxId, LIMITS.readFileImageBytes, caller);
  if (shown === undefined) {
    throw new KernelboxError(
      "too_large",
      `The picture has ${source.sizeBytes} bytes; a reply holds at most ${LIMITS.readFileImageBytes}, and it could not be made smaller.`,
      'Save a smaller copy in code (Pillow: image.thumbnail((1568, 1568))) and read that, or read this one in parts with encoding "base64".',
    );
  }
  const fields = { encoding: null, content: "", lines: null, next_offset: null, offset_bytes: null, next_offset_bytes: null };
  const { structured } = reply(source, mimeType, fields);
  const note = shown.bytes === whole ? "" : ` It is shown at ${shown.widthPx} × ${shown.heightPx} px.`;
  return {
    structured,
    blocks: [
      { type: "text", text: `${quoted(source.path)}: ${mimeType}, ${source.sizeBytes} bytes.${note}` },
      { type: "image", data: shown.bytes, mimeType: shown.mimeType },
    ],
  };
}

type Part = Omit<Output, "path" | "size_bytes" | "mime_type" | "modified_at" | "mode">;

function reply(source: Source, mimeType: string, part: Part): ToolReply<Output> {
  const structured = {
    path: source.path,
    size_bytes: source.sizeBytes,
    mime_type: mimeType,
    modified_at: source.modifiedAt,
    mode: source.mode,
    ...part,
  };
  return { structured, blocks: [{ type: "text", text: `${part.content}${goOn(structured)}` }] };
}

function goOn(read: Output): string {
  if (read.next_offset !== null) return `\n[… more: read_file with offset ${read.next_offset} …]`;
  if (read.next_offset_bytes !== null) return `\n[… more: read_file with offset_bytes ${read.next_offset_bytes} of ${read.size_bytes} …]`;
  return "";
}
