import { KernelboxError } from "../errors.ts";

/** One page of a list of stable order. The cursor is the id of the last item that was shown. */
export function page<T>(
  all: T[],
  idOf: (item: T) => string,
  window: { limit: number; cursor?: string | undefined },
): { items: T[]; nextCursor: string | null } {
  const after = window.cursor === undefined ? -1 : all.findIndex((item) => idOf(item) === window.cursor);
  if (window.cursor !== undefined && after === -1) {
    throw new KernelboxError("invalid_argument", "The cursor is not known (any more).", "Leave it out to begin again.");
  }
  const items = all.slice(after + 1, after + 1 + window.limit);
  const last = items.at(-1);
  const isEnd = last === undefined || after + 1 + items.length >= all.length;
  return { items, nextCursor: isEnd ? null : idOf(last) };
}
