import type { ImageInfo } from "../engine.ts";

/** What an image says of itself. An image of another maker has no such labels, or odd ones: it then speaks protocol 0 and no language. */
export function labelledInfo(
  labels: Record<string, string> | null | undefined,
): Pick<ImageInfo, "flavour" | "protocol" | "version" | "languages"> {
  const protocol = labels?.["kernelbox.protocol"] ?? "";
  return {
    flavour: word(labels?.["kernelbox.flavour"]),
    protocol: /^[1-9]\d{0,5}$/.test(protocol) ? Number(protocol) : 0,
    version: word(labels?.["kernelbox.version"]),
    languages: (labels?.["kernelbox.languages"] ?? "")
      .split(",")
      .map(word)
      .filter((language) => language !== ""),
  };
}

function word(value: string | undefined): string {
  const text = (value ?? "").trim();
  return /^[A-Za-z0-9_.+#-]{1,64}$/.test(text) ? text : "";
}
