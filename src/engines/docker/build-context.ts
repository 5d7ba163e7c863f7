import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type Pack, pack } from "tar-stream";
import { filesBeneath, PACKAGE_ROOT, readIfThere } from "./package-files.ts";

/** Where Debian and its descendants keep certificate authorities that the host's administrator added. */
const HOST_CERTS = "/usr/local/share/ca-certificates";

export interface ContextFile {
  /** With slashes, relative to the context. */
  path: string;
  bytes: Buffer;
}

export interface ContextSources {
  /** Holds Dockerfile, .dockerignore, sandbox/ and certs/. */
  root: string;
  hostCerts: string;
}

/** What an image is built from, in a fixed order: the Dockerfile, sandbox/ without its tests, settings of its tools and caches, and extra certificate authorities. */
export async function contextFiles(sources: ContextSources = { root: PACKAGE_ROOT, hostCerts: HOST_CERTS }): Promise<ContextFile[]> {
  const { root, hostCerts } = sources;
  const files: ContextFile[] = [{ path: "Dockerfile", bytes: await readFile(join(root, "Dockerfile")) }];
  const ignore = await readIfThere(join(root, ".dockerignore"));
  if (ignore !== undefined) files.push({ path: ".dockerignore", bytes: ignore });
  for (const path of await filesBeneath(join(root, "sandbox"), isSource)) {
    files.push({ path: `sandbox/${path}`, bytes: await readFile(join(root, "sandbox", path)) });
  }
  // The same authority often lies in both folders, so they meet by name. The empty file keeps the folder in the context.
  const certs = new Map<string, Buffer>([[".gitkeep", Buffer.alloc(0)]]);
  for (const folder of [hostCerts, join(root, "certs")]) {
    for (const path of await filesBeneath(folder, () => true)) {
      if (path.endsWith(".crt")) certs.set(path.replaceAll("/", "-"), await readFile(join(folder, path)));
    }
  }
  for (const [name, bytes] of certs) files.push({ path: `certs/${name}`, bytes });
  return files.sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** Tests and the settings of tools would change the image's version and nothing in the image. */
const BESIDE_THE_SOURCES = ["tests", "pyproject.toml"];

/** What lies in a working checkout beside the sources counts as little: caches of Python and its tools, whose names begin with a dot. */
function isSource(path: string): boolean {
  const name = path.slice(path.lastIndexOf("/") + 1);
  const isCache = name === "__pycache__" || name.startsWith(".") || name.endsWith(".pyc") || name.endsWith(".egg-info");
  return !isCache && !BESIDE_THE_SOURCES.includes(path);
}

/** Times and modes are fixed, so that the engine's build cache sees the same files as the same wherever they were checked out. */
export function contextArchive(files: ContextFile[]): Pack {
  const archive = pack();
  for (const { path, bytes } of files) archive.entry({ name: path, mode: path.endsWith(".sh") ? 0o755 : 0o644, mtime: new Date(0) }, bytes);
  archive.finalize();
  return archive;
}
