import { join } from "node:path";
import type { KernelboxError } from "../../errors.ts";
import { LIMITS } from "../../limits.ts";
import type { Log } from "../../log.ts";
import type { ExecutionRecord, StoredOutput } from "../../store/execution-record.ts";
import { pictureType } from "../picture-type.ts";
import { HostFolder, hostError } from "./host-folder.ts";
import { HostPart } from "./host-part.ts";

const ENDINGS: Record<string, string> = {
  "image/png": "png",
  "image/jpeg": "jpg",
  "image/gif": "gif",
  "image/webp": "webp",
  "image/svg+xml": "svg",
};

/** Writes the pictures of executions into a folder of the host that its user named, each as `{execution_id}-{n}`: our own ids, never a name from a sandbox. */
export class SavedPictures {
  readonly #dir: string;
  readonly #log: Log;

  constructor(dir: string, log: Log) {
    this.#dir = dir;
    this.#log = log;
  }

  /** What an execution that has ended shows, as it is shown last. Says in words of ours what became of it; undefined where there was no picture. Never rejects. */
  async save(record: ExecutionRecord): Promise<string | undefined> {
    const saved: string[] = [];
    let failure: KernelboxError | undefined;
    for (const n of record.outputNumbers) {
      try {
        const picture = await pictureOf(record, n);
        if (picture !== undefined) saved.push(await this.#write(`${record.executionId}-${n}.${ENDINGS[picture.type]}`, picture.bytes));
      } catch (thrown) {
        failure = hostError(thrown);
        this.#log.warn({ err: failure, execution_id: record.executionId }, "a picture was not written into the folder of --save-dir");
        // A full disk, or a folder that is gone, is so for the next one too.
        break;
      }
    }
    return notice(saved, failure, this.#dir);
  }

  async #write(name: string, bytes: Buffer): Promise<string> {
    const folder = await HostFolder.open(this.#dir);
    const path = join(this.#dir, name);
    const part = await HostPart.begin(folder, { name, path, overwrite: false, sizeBytes: bytes.length, onEnd: () => {} }).catch(
      async (error) => {
        await folder.close();
        throw error;
      },
    );
    try {
      await part.write(bytes);
      await part.commit();
    } finally {
      await part.abandon();
    }
    return name;
  }
}

/** The richest form that is a picture: by its signature, since other programs will open it; SVG is text. */
async function pictureOf(record: ExecutionRecord, n: number): Promise<StoredOutput | undefined> {
  const form = record.formsOf(n).find(({ type }) => type in ENDINGS);
  const output = form === undefined ? undefined : await record.readOutput(n, form.type);
  if (output === undefined || output.type === "image/svg+xml") return output;
  const type = pictureType(output.bytes);
  return type === undefined ? undefined : { ...output, type };
}

function notice(saved: string[], failure: KernelboxError | undefined, dir: string): string | undefined {
  const shown = saved.slice(0, LIMITS.savedNames).join(", ") + (saved.length > LIMITS.savedNames ? ", …" : "");
  const written =
    saved.length === 0
      ? ""
      : `${saved.length === 1 ? "The picture was" : `${saved.length} pictures were`} also written into ${dir} on the user's machine: ${shown}.`;
  const missing = failure === undefined ? "" : `A picture could not be written into ${dir} on the user's machine: ${failure.message}`;
  return [written, missing].filter((words) => words !== "").join(" ") || undefined;
}
