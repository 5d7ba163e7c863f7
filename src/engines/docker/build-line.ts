import { LIMITS } from "../../limits.ts";

/** One line of an engine's progress. */
export interface BuildLine {
  stream?: string;
  /** A failing step: the stream then ends like a good one. */
  error?: string;
}

/** The lines of a build's or a pull's progress, until the stream ends or the signal aborts. */
export async function* buildLines(stream: NodeJS.ReadableStream, signal: AbortSignal): AsyncGenerator<BuildLine> {
  const destroy = () => "destroy" in stream && typeof stream.destroy === "function" && stream.destroy(signal.reason);
  if (signal.aborted) destroy();
  signal.addEventListener("abort", destroy, { once: true });
  stream.setEncoding("utf8");
  let text = "";
  try {
    for await (const chunk of stream) {
      const lines = (text + chunk).split("\n");
      text = lines.pop() ?? "";
      if (text.length > LIMITS.engineLineCharacters) throw new Error("A line of the engine's progress is too long.");
      for (const line of lines) yield parseLine(line);
    }
    yield parseLine(text);
  } finally {
    signal.removeEventListener("abort", destroy);
  }
}

function parseLine(line: string): BuildLine {
  try {
    const value: { stream?: unknown; error?: unknown } | null = JSON.parse(line);
    return {
      ...(typeof value?.stream === "string" ? { stream: value.stream } : {}),
      ...(value?.error === undefined ? {} : { error: String(value.error) }),
    };
  } catch {
    return {};
  }
}
