import { ResourceListChangedNotificationSchema, ResourceUpdatedNotificationSchema } from "@modelcontextprotocol/sdk/types.js";
import type { Host, TestClient } from "./client.ts";
import { eventually } from "./containers.ts";

interface Resource {
  uri: string;
  name: string;
  mimeType?: string;
  size?: number;
}

export interface Page {
  resources: Resource[];
  nextCursor?: string;
}

const FILES = "kernelbox://sandboxes/{sandbox_id}/files/{+path}";

/** What hosts of any generation do with resources, in the words of their own SDK and era. */
export class ResourceHost {
  /** Notifications that came: `list`, or the URI of what was updated. */
  told: string[] = [];
  readonly #client: TestClient;
  readonly #isModern: boolean;
  #subscription: { close: () => Promise<void> } | undefined;

  constructor(host: Host, client: TestClient) {
    this.#client = client;
    this.#isModern = host === "sdk 2, 2026-07-28";
    const isFirst = host === "sdk 1, 2025-11-25";
    const take = ({ params }: { params?: { uri?: string } }) => void this.told.push(params?.uri ?? "list");
    client.client.setNotificationHandler(isFirst ? ResourceUpdatedNotificationSchema : "notifications/resources/updated", take);
    client.client.setNotificationHandler(isFirst ? ResourceListChangedNotificationSchema : "notifications/resources/list_changed", take);
  }

  async page(cursor?: string): Promise<Page> {
    const params = cursor === undefined ? {} : { cursor };
    if (!this.#isSecond) return await this.#client.client.listResources(params);
    // The second generation's own list puts all pages together.
    return await this.#client.client.request({ method: "resources/list", params });
  }

  async pages(): Promise<Page[]> {
    const pages = [await this.page()];
    for (let cursor = pages[0]?.nextCursor; cursor !== undefined; cursor = pages.at(-1)?.nextCursor) pages.push(await this.page(cursor));
    return pages;
  }

  async complete(name: string, value: string, sandboxId?: string, uri = FILES): Promise<string[]> {
    const context = sandboxId === undefined ? {} : { context: { arguments: { sandbox_id: sandboxId } } };
    const reply = await this.#client.client.complete({ ref: { type: "ref/resource", uri }, argument: { name, value }, ...context });
    return reply.completion.values;
  }

  async listen(uri: string): Promise<void> {
    if (!this.#isModern) await this.#client.client.subscribeResource({ uri });
    else this.#subscription = await this.#client.client.listen({ resourcesListChanged: true, resourceSubscriptions: [uri] });
  }

  async unlisten(uri: string): Promise<void> {
    if (!this.#isModern) await this.#client.client.unsubscribeResource({ uri });
    else await this.#subscription?.close();
  }

  /** Waits until it was told so, and forgets what it was told. */
  async until(what: string, withinMs: number): Promise<string[]> {
    const told = await eventually(
      async () => this.told,
      (all) => all.includes(what),
      withinMs,
    );
    this.told = [];
    return told;
  }

  /** What it is told in that time. */
  async during(ms: number): Promise<string[]> {
    this.told = [];
    await new Promise((resolve) => setTimeout(resolve, ms));
    const { told } = this;
    this.told = [];
    return told;
  }

  get #isSecond(): boolean {
    return "getNegotiatedProtocolVersion" in this.#client.client;
  }
}
