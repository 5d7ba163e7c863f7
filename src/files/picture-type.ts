/** The MIME type of a picture that hosts show, by the signature that its own specification puts first; undefined for anything else. */
export function pictureType(head: Buffer): string | undefined {
  const latin = head.toString("latin1", 0, 12);
  if (latin.startsWith("\x89PNG\r\n\x1a\n")) return "image/png";
  if (latin.startsWith("\xff\xd8\xff")) return "image/jpeg";
  if (latin.startsWith("GIF87a") || latin.startsWith("GIF89a")) return "image/gif";
  if (latin.startsWith("RIFF") && latin.slice(8) === "WEBP") return "image/webp";
  return undefined;
}
