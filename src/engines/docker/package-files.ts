import { existsSync } from "node:fs";
import { readdir, readFile, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The folder that the package lies in, whether this runs from src/ or from dist/. */
export const PACKAGE_ROOT = packageRoot(dirname(fileURLToPath(import.meta.url)));

function packageRoot(from: string): string {
  let folder = from;
  while (!existsSync(join(folder, "package.json"))) {
    if (folder === dirname(folder)) throw new Error("No package.json above this file.");
    folder = dirname(folder);
  }
  return folder;
}

/** Relative paths of all files beneath a folder, with slashes; links are followed to files. None where there is no folder. */
export async function filesBeneath(folder: string, isWanted: (path: string) => boolean, below = ""): Promise<string[]> {
  const entries = await readdir(join(folder, below)).catch(() => []);
  const files: string[] = [];
  for (const name of entries) {
    const path = below === "" ? name : `${below}/${name}`;
    if (!isWanted(path)) continue;
    const found = await stat(join(folder, path)).catch(() => undefined);
    if (found?.isDirectory()) files.push(...(await filesBeneath(folder, isWanted, path)));
    else if (found?.isFile()) files.push(path);
  }
  return files;
}

/** Undefined where there is no such file. */
export async function readIfThere(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
}
