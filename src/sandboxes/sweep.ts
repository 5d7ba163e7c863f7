import type { ContainerSummary, Engine } from "../engines/engine.ts";
import type { Log } from "../log.ts";
import type { Owner } from "../store/owner.ts";
import { LABELS } from "./labels.ts";

/** A container that was made but never started is let be for this long where its server cannot be asked: it may be about to start it. */
const STARTING_MS = 10 * 60_000;
/** One that has ended is let be for this long where its server cannot be asked: it may be about to ask how it ended. */
const ENDING_MS = 10_000;

/**
 * Removes what dead servers left: containers that have ended or never started, and on this host also running ones whose server is known to be
 * gone (their lease would end them in a moment). Never a running one of a server that lives or cannot be asked. Gives how many.
 */
export async function sweep(engine: Engine, owner: Owner, log: Log): Promise<number> {
  let removed = 0;
  const resisting = new Set<string | undefined>();
  for (const container of await engine.list()) {
    if (!(await isLeft(container, owner))) continue;
    // One that resists must not keep the others.
    await engine.destroy(container.containerId).then(
      () => removed++,
      (error) => {
        resisting.add(container.labels[LABELS.owner]);
        log.warn({ err: error, container_id: container.containerId }, "a container that a dead server left could not be removed");
      },
    );
  }
  // Without its server's folder nobody could tell any more that the server is dead.
  await owner.sweep(resisting);
  if (removed > 0) log.info({ removed }, "removed containers that earlier servers had left");
  return removed;
}

async function isLeft(container: ContainerSummary, owner: Owner): Promise<boolean> {
  const isHere = container.labels[LABELS.host] === owner.host;
  const server = isHere ? await owner.liveness(container.labels[LABELS.owner] ?? "") : "unknown";
  if (server !== "unknown") return server === "dead";
  if (container.state === "created") return Date.now() - container.createdAt.getTime() > STARTING_MS;
  return container.state === "exited" && Date.now() - (container.endedAt?.getTime() ?? 0) > ENDING_MS;
}
