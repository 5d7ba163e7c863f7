import type { Source } from "../../src/files/source.ts";

/** Gives its bytes in pieces that end wherever `cuts` say, as pipes and the channel do. */
export function sourceInPieces(bytes: Buffer, cuts: number[]): Source {
  const ends = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b);
  return {
    sandboxId: "sbx_1",
    uri: "",
    path: "",
    sizeBytes: bytes.length,
    mimeType: "text/plain",
    fileId: null,
    modifiedAt: null,
    mode: null,
    stream: async (offset, limit, onData) => {
      const last = limit === undefined ? bytes.length : Math.min(bytes.length, offset + limit);
      let at = offset;
      for (const end of [...ends.filter((end) => end > offset && end < last), last]) {
        if (at >= last || !(await onData(bytes.subarray(at, end)))) return;
        at = end;
      }
    },
  };
}
