import { basename } from "node:path";

/** How a person calls a command of this program here: a checkout has no `kernelbox` on its PATH. */
export function ownCommand(args: string, called: string = process.argv[1] ?? ""): string {
  const name = basename(called);
  // Where it was named by its file, the whole path, since a hint may be read in any folder.
  if (/^main\.[jt]s$/.test(name)) return `node ${/^[\w./@+-]+$/.test(called) ? called : `'${called.replaceAll("'", "'\\''")}'`} ${args}`;
  return called.includes("node_modules") ? `npx kernelbox ${args}` : `kernelbox ${args}`;
}
