import type { Context } from "../contexts/contexts.ts";
import { quoted } from "../events/quoted.ts";

/** A context in the names of the tool contract. */
export function contextFields(context: Context) {
  return {
    context_id: context.contextId,
    sandbox_id: context.sandboxId,
    language: context.language,
    cwd: context.cwd,
    name: context.name,
    incarnation: context.incarnation,
    state: context.state,
    queued: context.queued,
    created_at: context.createdAt,
    last_activity_at: context.lastActivityAt,
  };
}

export function contextText(context: Context): string {
  const name = context.name === null ? "" : ` ${quoted(context.name)}`;
  return `${context.contextId}${name}: ${context.language}, ${context.state}, incarnation ${context.incarnation}, cwd ${quoted(context.cwd)}, sandbox ${context.sandboxId}`;
}
