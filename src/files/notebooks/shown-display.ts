import type { StoredEvent } from "../../store/event-log.ts";

export type Display = Extract<StoredEvent, { output: number | null }>;

/** A display of a cell, by the event that it was shown with last. */
export interface ShownDisplay {
  kind: "display";
  event: Display;
  /** It was no display of this cell that the code updated. */
  isUpdate: boolean;
  shownAs: "display_data" | "execute_result";
}
