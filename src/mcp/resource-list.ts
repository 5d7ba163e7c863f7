import type { ListResourcesResult } from "@modelcontextprotocol/server";
import * as z from "zod";
import { KernelboxError } from "../errors.ts";
import { legible } from "../events/quoted.ts";
import { LISTED_ROOTS } from "../files/file-tree.ts";
import type { Caller, FileEntry } from "../files/files.ts";
import { typeOfName } from "../files/media-type.ts";
import { fileIdUri, fileUri } from "../files/uris.ts";
import { LIMITS } from "../limits.ts";
import type { Services } from "../tools/define-tool.ts";
import { jsonBytes } from "../tools/reply-size.ts";

type Resource = ListResourcesResult["resources"][number];

/** Resources of one kind, and where the list goes on behind each; `next` is where it goes on behind all of these. */
interface SectionPage {
  found: { resource: Resource; after: string }[];
  next: string | null;
}

/** A part of the list. The parts follow each other in a stable order, and each has one of its own. */
interface Section {
  key: string;
  page(after: string | undefined, limit: number): Promise<SectionPage>;
}

const CURSOR = z.tuple([
  z.string().max(LIMITS.pathBytes),
  z
    .string()
    .max(3 * LIMITS.pathBytes)
    .nullable(),
]);

/** One page of all that can be listed, within what a reply may hold. It may be empty and yet not the last: folders are looked through as well. */
export async function resourcePage(services: Services, caller: Caller, cursor: string | undefined): Promise<ListResourcesResult> {
  const sections = sectionsOf(services, caller);
  let { at, after } = cursor === undefined ? { at: 0, after: undefined } : positionOf(cursor, sections);
  const resources: Resource[] = [];
  let left = LIMITS.replyBytes - LIMITS.replyEnvelopeBytes - jsonBytes(cursorOf("", "x".repeat(3 * LIMITS.pathBytes)));
  for (let looks = 0; at < sections.length; looks++) {
    const section = sections[at] as Section;
    const room = LIMITS.resourceListEntries - resources.length;
    if (room === 0 || looks === LIMITS.resourceListPages) return { resources, nextCursor: cursorOf(section.key, after) };
    const { found, next } = await section.page(after, room);
    for (const { resource, after: behind } of found) {
      left -= jsonBytes(resource) + 1;
      if (left < 0) return { resources, nextCursor: cursorOf(section.key, after) };
      resources.push(resource);
      after = behind;
    }
    after = next ?? undefined;
    if (next === null) at++;
  }
  return { resources };
}

function sectionsOf(services: Services, caller: Caller): Section[] {
  const files = services.tree.sandboxIds(caller.principal).flatMap((sandboxId) =>
    LISTED_ROOTS.map((root) => ({
      key: `${sandboxId}${root}`,
      page: async (after: string | undefined, limit: number) => {
        const { files, next } = await services.tree.page(sandboxId, root, { after, limit }, caller);
        return { found: files.map(({ entry, after }) => ({ resource: fileResource(sandboxId, entry), after })), next };
      },
    })),
  );
  // All notebooks together take a small part of a page; in front, a host that reads one page only knows them.
  const notebooks = { key: "notebooks", page: async () => ({ found: notebookResources(services, caller.principal), next: null }) };
  const shared = { key: "shared", page: async () => ({ found: sharedResources(services, caller.principal), next: null }) };
  return [notebooks, shared, ...files];
}

/** Histories of contexts. */
function notebookResources(services: Services, principal: string): SectionPage["found"] {
  return services.sources.notebooks(principal).map(({ uri, contextId, language, mimeType }) => ({
    resource: { uri, name: `${contextId}.ipynb`, title: `Notebook of a ${language} context`, mimeType },
    after: contextId,
  }));
}

/** Files that are kept beyond any sandbox, by their ids. */
function sharedResources(services: Services, principal: string): SectionPage["found"] {
  return services.identified.shared(principal).map(({ fileId, name, sizeBytes, modifiedAt }) => ({
    resource: {
      uri: fileIdUri(fileId),
      name: legible(name),
      title: `${legible(name)} (shared)`,
      size: sizeBytes,
      mimeType: typeOfName(name),
      annotations: { lastModified: modifiedAt },
    },
    after: fileId,
  }));
}

function fileResource(sandboxId: string, entry: FileEntry): Resource {
  return {
    uri: fileUri(sandboxId, entry.path),
    name: legible(entry.name),
    title: legible(entry.path),
    size: entry.sizeBytes,
    mimeType: typeOfName(entry.path),
    annotations: { lastModified: entry.modifiedAt },
  };
}

function cursorOf(key: string, after: string | undefined): string {
  return Buffer.from(JSON.stringify([key, after ?? null])).toString("base64url");
}

/** Where a list goes on. One whose sandbox has ended is not known any more. */
function positionOf(cursor: string, sections: Section[]): { at: number; after: string | undefined } {
  const parsed = CURSOR.safeParse(json(cursor));
  const [key, after] = parsed.data ?? ["", null];
  const at = sections.findIndex((section) => section.key === key);
  if (at !== -1) return { at, after: after ?? undefined };
  throw new KernelboxError("invalid_argument", "The cursor is not known (any more).", "Leave it out to begin again.");
}

function json(cursor: string): unknown {
  if (cursor.length > 20 * LIMITS.pathBytes) return undefined;
  try {
    return JSON.parse(Buffer.from(cursor, "base64url").toString("utf8"));
  } catch {
    return undefined;
  }
}
