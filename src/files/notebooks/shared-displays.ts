import type { MimeBundle } from "../../events/event.ts";
import type { ShownDisplay } from "./shown-display.ts";

/** Where the displays of an execution are. */
export interface Displays {
  /** The number of the output that was shown last under each display id. */
  displayIds: ReadonlyMap<string, number>;
  readBundle(n: number): Promise<MimeBundle>;
}

/** A display's forms as they are at the end of all cells. */
export interface DisplayForms {
  bundle: MimeBundle;
  /** They came with another display than its own. */
  isReplaced: boolean;
}

/**
 * Displays that one piece of code shows and a later one replaces, by their display id. It is as in a notebook that is open: what is new stands wherever
 * the id is shown, and not beneath the code that updated it. Executions are read in their order.
 */
export class SharedDisplays {
  readonly #newest = new Map<string, { by: Displays; n: number }>();
  readonly #shown = new Set<string>();

  constructor(executions: readonly Displays[]) {
    for (const by of executions) for (const [id, n] of by.displayIds) this.#newest.set(id, { by, n });
  }

  /** Undefined for what stands in a cell before. */
  async read(by: Displays, { event, isUpdate }: ShownDisplay): Promise<DisplayForms | undefined> {
    const id = event.data.display_id ?? undefined;
    if (id !== undefined && isUpdate && this.#shown.has(id)) return undefined;
    if (id !== undefined) this.#shown.add(id);
    const newest = id === undefined ? undefined : this.#newest.get(id);
    if (newest !== undefined && (newest.by !== by || newest.n !== event.output)) {
      const bundle = await newest.by.readBundle(newest.n);
      // It may have been cleared.
      if (bundle.size > 0) return { bundle, isReplaced: true };
    }
    return { bundle: event.output === null ? new Map() : await by.readBundle(event.output), isReplaced: false };
  }
}
