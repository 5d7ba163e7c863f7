import type { ExecutionReply } from "../contexts/executions.ts";
import type { Output } from "../events/result.ts";
import { isShownPicture } from "../files/media-type.ts";
import { pictureType } from "../files/picture-type.ts";
import { isWithinPixels, type Picture } from "../files/pictures.ts";
import { outputUri } from "../files/uris.ts";
import { LIMITS } from "../limits.ts";
import type { Block } from "./define-tool.ts";
import { base64Bytes } from "./reply-size.ts";

/** A smaller form of a picture, at most so many bytes; undefined where there is none. */
export type Fit = (picture: Buffer, bytesMax: number) => Promise<Picture | undefined>;

export interface ShownPictures {
  blocks: Block[];
  notices: string[];
}

/** What an image block has beside its data. */
const BLOCK_FORM_BYTES = 100;
/** Below this a picture shows nothing. */
const BYTES_MIN = 10_000;

/**
 * The pictures of a reply in what room it has left: as they are where all fit, else those that take more than their share made smaller. What cannot be
 * shown is one link away. Each difference is said.
 */
export async function shownPictures(reply: ExecutionReply, room: number, makeFit: Fit): Promise<ShownPictures> {
  const shown: ShownPictures = { blocks: [], notices: [] };
  const outputs = picturesAmong(reply.result.outputs);
  const doAllFit = bytesOf(outputs) <= room;
  const isSmall = (output: Output) => doAllFit || (isWithinPixels(output) && blockBytes(output.sizeBytes) <= room / outputs.length);
  const leftOut: Output[] = [];
  let left = room;
  let fitted = 0;
  for (const [index, output] of outputs.entries()) {
    const others = outputs.slice(index + 1);
    // What small ones leave is for the large ones, as many as can be made smaller: those behind them are left out anyway.
    const large = Math.min(others.filter((other) => !isSmall(other)).length, Math.max(0, LIMITS.replyImagesFitted - fitted - 1));
    const share = isSmall(output) ? left : Math.floor((left - bytesOf(others.filter(isSmall))) / (1 + large));
    const bytesMax = Math.min(LIMITS.replyImageBytes, Math.floor(((share - BLOCK_FORM_BYTES) * 3) / 4));
    const uri = outputUri(reply.executionId, output.n);
    const stored = await reply.record.readOutput(output.n, output.type);
    if (stored === undefined) {
      shown.notices.push(`Picture ${output.n} could not be kept.`);
      continue;
    }
    // A model's API refuses the whole conversation for one picture that is none.
    const mimeType = pictureType(stored.bytes);
    if (mimeType === undefined) {
      shown.notices.push(`Output ${output.n} is no ${output.type}: see ${uri}.`);
      continue;
    }
    let block: Pick<Picture, "bytes" | "mimeType"> | undefined = { bytes: stored.bytes, mimeType };
    if (stored.bytes.length > bytesMax || !isWithinPixels(output)) {
      const smaller = bytesMax < BYTES_MIN || fitted++ >= LIMITS.replyImagesFitted ? undefined : await makeFit(stored.bytes, bytesMax);
      if (smaller === undefined) leftOut.push(output);
      else shown.notices.push(smallerNotice(output, uri, smaller));
      block = smaller;
    }
    if (block === undefined) continue;
    left -= blockBytes(block.bytes.length);
    shown.blocks.push({ type: "image", data: block.bytes, mimeType: block.mimeType });
  }
  const [first] = leftOut;
  if (leftOut.length > 1) shown.notices.push(allLeftOutNotice(leftOut));
  else if (first !== undefined) shown.notices.push(leftOutNotice(first, outputUri(reply.executionId, first.n)));
  return shown;
}

/** The longest notice that each picture could get: its room is kept free before the pictures take theirs. */
export function possibleNotices(executionId: string, outputs: Output[]): string[] {
  const widest = { widthPx: LIMITS.replyImagePixels, heightPx: LIMITS.replyImagePixels };
  return picturesAmong(outputs).map((output) => {
    const uri = outputUri(executionId, output.n);
    return [leftOutNotice(output, uri), smallerNotice(output, uri, widest)].reduce((a, b) => (b.length > a.length ? b : a));
  });
}

function picturesAmong(outputs: Output[]): Output[] {
  return outputs.filter((output) => isShownPicture(output.type));
}

function bytesOf(outputs: Output[]): number {
  return outputs.reduce((sum, output) => sum + blockBytes(output.sizeBytes), 0);
}

function blockBytes(bytes: number): number {
  return base64Bytes(bytes) + BLOCK_FORM_BYTES;
}

function leftOutNotice(output: Output, uri: string): string {
  return `Picture ${output.n} (${sizeOf(output)}) is too large for this reply: save a smaller one, or see ${uri}.`;
}

/** Shorter than a notice for each: where they are their outputs say. */
function allLeftOutNotice(outputs: Output[]): string {
  return `Pictures ${outputs.map(({ n }) => n).join(", ")} are too large for this reply: save smaller ones, or see their uris.`;
}

function smallerNotice(output: Output, uri: string, smaller: Pick<Picture, "widthPx" | "heightPx">): string {
  return `Picture ${output.n} (${sizeOf(output)}) is shown at ${smaller.widthPx} × ${smaller.heightPx} px; whole: ${uri}.`;
}

function sizeOf({ widthPx, heightPx, sizeBytes }: Output): string {
  return widthPx === null ? `${sizeBytes} bytes` : `${widthPx} × ${heightPx} px, ${sizeBytes} bytes`;
}
