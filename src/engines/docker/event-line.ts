/** One line of the engine's event stream, as far as it matters here. */
export type EngineEvent = { timeNano: string; containerId: string } & (
  | { type: "start" }
  | { type: "out_of_memory" }
  | { type: "ended"; exitCode: number }
);

/** Undefined for what is of no interest, or no event at all. */
export function parseEventLine(line: string): EngineEvent | undefined {
  let event: { Action?: unknown; Actor?: { ID?: unknown; Attributes?: { exitCode?: unknown } } } | null;
  try {
    event = JSON.parse(line);
  } catch {
    return undefined;
  }
  const containerId = event?.Actor?.ID;
  if (typeof containerId !== "string") return undefined;
  // Nanoseconds since 1970 do not fit a JavaScript number, so they are taken from the text.
  const head = { timeNano: /"timeNano":(\d{1,20})\b/.exec(line)?.[1] ?? "", containerId };
  if (event?.Action === "start") return { ...head, type: "start" };
  if (event?.Action === "oom") return { ...head, type: "out_of_memory" };
  if (event?.Action !== "die") return undefined;
  const exitCode = Number(event.Actor?.Attributes?.exitCode ?? -1);
  return { ...head, type: "ended", exitCode: Number.isInteger(exitCode) ? exitCode : -1 };
}

/** The nanosecond after an event, in the form that `since` takes: the engine replays what happened at that moment or later. */
export function nextMoment(timeNano: string): string | undefined {
  if (timeNano === "") return undefined;
  const digits = String(BigInt(timeNano) + 1n).padStart(10, "0");
  return `${digits.slice(0, -9)}.${digits.slice(-9)}`;
}
