import { KernelboxError } from "../errors.ts";
import { pictureSize } from "../events/picture-size.ts";
import { LIMITS } from "../limits.ts";
import type { Sandboxes } from "../sandboxes/sandboxes.ts";
import { fittedSchema } from "../sandboxes/supervisor-schemas.ts";
import type { Caller } from "./files.ts";
import { pictureType } from "./picture-type.ts";

export interface Picture {
  bytes: Buffer;
  mimeType: string;
  widthPx: number;
  heightPx: number;
}

/**
 * Pictures as hosts take them. A picture of user code is hostile, so nothing is decoded here: what is too large is made smaller in the sandbox
 * that it came from, and what comes back is looked at as if it came from anywhere.
 */
export class Pictures {
  readonly #sandboxes: Sandboxes;

  constructor(sandboxes: Sandboxes) {
    this.#sandboxes = sandboxes;
  }

  /**
   * The picture itself where it fits, else a smaller one of at most LIMITS.replyImagePixels a side and `bytesMax` bytes, as PNG or JPEG. Undefined
   * where it is no picture, cannot be made to fit, or its sandbox is gone.
   */
  async fit(picture: Buffer, sandboxId: string, bytesMax: number, caller: Caller): Promise<Picture | undefined> {
    const whole = pictureOf(picture);
    if (whole === undefined || fits(whole, bytesMax)) return whole;
    const parts: Buffer[] = [];
    let bytes = 0;
    const onData = (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > bytesMax) throw new KernelboxError("sandbox_lost", "The sandbox sent more than was asked for.", "Make a new sandbox.");
      parts.push(chunk);
    };
    const params = { pixels: LIMITS.replyImagePixels, bytes: bytesMax };
    try {
      const sandbox = this.#sandboxes.get(sandboxId, caller.principal);
      await sandbox.request("picture.fit", params, fittedSchema, { signal: caller.signal, body: [picture], onData });
    } catch (error) {
      if (caller.signal?.aborted) throw error;
      return undefined;
    }
    const fitted = pictureOf(Buffer.concat(parts));
    return fitted !== undefined && fits(fitted, bytesMax) ? fitted : undefined;
  }
}

function pictureOf(bytes: Buffer): Picture | undefined {
  const mimeType = pictureType(bytes);
  const size = pictureSize(bytes);
  return mimeType === undefined || size === undefined ? undefined : { bytes, mimeType, ...size };
}

function fits(picture: Picture, bytesMax: number): boolean {
  return picture.bytes.length <= bytesMax && isWithinPixels(picture);
}

/** One whose size is not told is taken to be too large. */
export function isWithinPixels({ widthPx, heightPx }: { widthPx: number | null; heightPx: number | null }): boolean {
  return widthPx !== null && heightPx !== null && Math.max(widthPx, heightPx) <= LIMITS.replyImagePixels;
}
