import { randomBytes } from "node:crypto";
import { chmod, lstat, mkdir, readdir, rm, stat } from "node:fs/promises";
import { connect, createServer, type Server } from "node:net";
import { hostname, tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { KernelboxError } from "../errors.ts";

const SOCKET_NAME = "alive";
const OWNER_ID = /^[0-9a-f]{16}$/;
const CONNECT_MS = 2_000;
/** A folder that changed less than this ago may belong to a server that is about to listen. */
const STARTING_MS = 2_000;

/**
 * One running server: its id, its private folder, and the sign that it lives: a socket that it listens on and that the system closes whichever
 * way the process ends. So another server can tell what a killed one left behind, without guessing from process numbers or times.
 */
export class Owner {
  readonly id: string;
  readonly host: string;
  /** Where this user's servers keep their folders. */
  readonly root: string;
  readonly dir: string;
  readonly #alive: Server;

  private constructor(id: string, root: string, alive: Server) {
    this.id = id;
    this.host = hostname();
    this.root = root;
    this.dir = join(root, id);
    this.#alive = alive;
  }

  static async start(root: string = defaultRoot()): Promise<Owner> {
    const id = randomBytes(8).toString("hex");
    await makePrivate(root);
    const dir = join(root, id);
    await mkdir(dir, { mode: 0o700 });
    const alive = createServer((socket) => socket.destroy());
    await new Promise<void>((resolve, reject) => {
      alive.once("error", reject);
      alive.listen(join(dir, SOCKET_NAME), resolve);
    });
    alive.unref();
    return new Owner(id, root, alive);
  }

  /** Whether the server with this id lives on this host. `unknown` for one that kept its folder elsewhere, another user's, say. */
  async liveness(ownerId: string): Promise<"alive" | "dead" | "unknown"> {
    if (!OWNER_ID.test(ownerId)) return "unknown";
    const dir = join(this.root, ownerId);
    const made = await stat(dir).catch(() => undefined);
    if (made === undefined) return "unknown";
    const answer = await ask(join(dir, SOCKET_NAME));
    if (answer !== "dead") return answer;
    return Date.now() - made.ctimeMs < STARTING_MS ? "unknown" : "dead";
  }

  /** Removes the folders of servers that are gone, except those named. */
  async sweep(except: ReadonlySet<string | undefined> = new Set()): Promise<number> {
    let removed = 0;
    for (const id of await readdir(this.root)) {
      if (id === this.id || except.has(id) || (await this.liveness(id)) !== "dead") continue;
      await rm(join(this.root, id), { recursive: true, force: true });
      removed++;
    }
    return removed;
  }

  async close(): Promise<void> {
    await new Promise((resolve) => this.#alive.close(resolve));
    await rm(this.dir, { recursive: true, force: true });
  }
}

/** Short, since the path of a socket is bounded at 104 bytes on some systems. */
function defaultRoot(): string {
  return join(tmpdir(), `kernelbox-${userInfo().username.replace(/[^A-Za-z0-9_-]/g, "_")}`);
}

/** The folder's name is known to everybody on the host: what somebody else put there first is not used. */
async function makePrivate(root: string): Promise<void> {
  await mkdir(root, { recursive: true, mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "EEXIST") throw error;
  });
  const found = await lstat(root);
  if (!found.isDirectory() || (process.getuid !== undefined && found.uid !== process.getuid())) {
    throw new KernelboxError(
      "permission_denied",
      `${root} is not a folder of your own, so nothing can be kept in it.`,
      `Remove it if it is yours to remove, or set TMPDIR to a folder of your own.`,
    );
  }
  await chmod(root, 0o700);
}

/** Only where nothing is there or nobody listens is its server dead for certain. */
function ask(path: string): Promise<"alive" | "dead" | "unknown"> {
  return new Promise((resolve) => {
    const socket = connect(path);
    const settle = (answer: "alive" | "dead" | "unknown") => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(CONNECT_MS, () => settle("unknown"));
    socket.once("connect", () => settle("alive"));
    socket.once("error", (error: NodeJS.ErrnoException) =>
      settle(error.code === "ENOENT" || error.code === "ECONNREFUSED" ? "dead" : "unknown"),
    );
  });
}
