/** Anything that can be read by name: a file of a sandbox, or what an execution left in the store. */
export interface Source {
  uri: string;
  sandboxId: string;
  /** Absolute path in the sandbox; the URI for what is not a file there. */
  path: string;
  /** Of a file; null for what an execution left. */
  fileId: string | null;
  sizeBytes: number;
  mimeType: string;
  modifiedAt: string | null;
  mode: string | null;
  /** Gives the bytes in pieces until there are no more or `onData` says false. While its promise is pending, no more is read than is on its way. */
  stream(offset: number, limit: number | undefined, onData: OnData): Promise<void>;
}

export type OnData = (chunk: Buffer) => boolean | Promise<boolean>;
