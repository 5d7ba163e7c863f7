import type { JSONRPCMessage, McpServer } from "@modelcontextprotocol/server";
import * as z from "zod";
import { KernelboxError } from "../errors.ts";
import { LIMITS } from "../limits.ts";
import type { Log } from "../log.ts";
import type { Services } from "../tools/define-tool.ts";
import { resourceError } from "./errors.ts";
import { ResourceChanges } from "./resource-changes.ts";

/** What a host of 2025 wants: it has one list of resources to be told of, and is told of changes of the list without asking. */
const CONNECTION = "connection";

/** Tells the host of a server what changes. One of 2025 says so to the server; what one of 2026 listens to only passes by its transport (`Listens`). */
export function tellChanges(server: McpServer, services: Services, principal: string): ResourceChanges {
  // A host that is gone will also be noticed elsewhere.
  const changes = new ResourceChanges(services, principal, {
    updated: (uri) => void server.server.sendResourceUpdated({ uri }).catch(() => {}),
    listChanged: () => void server.server.sendResourceListChanged().catch(() => {}),
  });
  server.server.oninitialized = () => void changes.ask(CONNECTION, { list: true, uris: [] });
  server.server.onclose = () => changes.close();
  server.server.setRequestHandler("resources/subscribe", async ({ params: { uri } }) => {
    try {
      await ready(changes.subscribe(CONNECTION, uri));
      return {};
    } catch (thrown) {
      throw resourceError(KernelboxError.from(thrown), uri);
    }
  });
  server.server.setRequestHandler("resources/unsubscribe", ({ params: { uri } }) => {
    changes.unsubscribe(CONNECTION, uri);
    return {};
  });
  return changes;
}

const ID = z.union([z.string(), z.number()]);
const MESSAGE = z.discriminatedUnion("method", [
  z.object({ method: z.literal("subscriptions/listen"), id: ID }),
  z.object({ method: z.literal("notifications/cancelled"), params: z.object({ requestId: ID }) }),
  z.object({
    method: z.literal("notifications/subscriptions/acknowledged"),
    params: z.object({
      _meta: z.object({ "io.modelcontextprotocol/subscriptionId": ID }),
      notifications: z.object({ resourcesListChanged: z.boolean().optional(), resourceSubscriptions: z.array(z.string()).optional() }),
    }),
  }),
]);

/**
 * What a host of 2026 listens to. The SDK keeps that itself, answers for it and passes on what was asked for; it only does not say so. But the
 * acknowledgement of what it takes, and the host's word that it has enough, pass by here.
 */
export class Listens {
  readonly #log: Log;
  /** Asked for, and not acknowledged yet. */
  readonly #opening = new Set<string | number>();
  #changes: ResourceChanges | undefined;

  constructor(log: Log) {
    this.#log = log;
  }

  /** The connection is served by this server from now on. */
  use(changes: ResourceChanges): void {
    this.#changes = changes;
  }

  incoming(message: JSONRPCMessage): void {
    const { data } = MESSAGE.safeParse(message);
    if (data?.method === "subscriptions/listen") this.#opening.add(data.id);
    if (data?.method !== "notifications/cancelled") return;
    this.#opening.delete(data.params.requestId);
    this.#changes?.withdraw(data.params.requestId);
  }

  /** Before a message goes out. Settles when the host may see it: what it is told to be listening to must not be missed. */
  async outgoing(message: JSONRPCMessage): Promise<void> {
    // Refused.
    if ("error" in message && message.id !== undefined) this.#opening.delete(message.id);
    const { data } = MESSAGE.safeParse(message);
    if (data?.method !== "notifications/subscriptions/acknowledged") return;
    const { _meta, notifications } = data.params;
    const id = _meta["io.modelcontextprotocol/subscriptionId"];
    const wanted = { list: notifications.resourcesListChanged === true, uris: notifications.resourceSubscriptions ?? [] };
    // Cancelled already, or nothing of ours.
    if (!this.#opening.delete(id) || this.#changes === undefined || (!wanted.list && wanted.uris.length === 0)) return;
    await ready(this.#changes.ask(id, wanted)).catch((error) =>
      this.#log.warn({ err: error }, "what a host listens to could not be followed"),
    );
  }
}

/** A sandbox that does not answer must not hold up its host. */
async function ready(pending: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, LIMITS.changesReadyMs);
  });
  await Promise.race([pending, late]).finally(() => clearTimeout(timer));
}
