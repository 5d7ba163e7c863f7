import { join } from "node:path";
import type { Config } from "./config.ts";
import { Contexts } from "./contexts/contexts.ts";
import { Executions } from "./contexts/executions.ts";
import { languagesOf } from "./contexts/languages.ts";
import { createDockerEngine } from "./engines/docker/index.ts";
import type { Engine } from "./engines/engine.ts";
import { Files } from "./files/files.ts";
import { Pictures } from "./files/pictures.ts";
import { Sources } from "./files/sources.ts";
import type { Log } from "./log.ts";
import { ImageSupply } from "./sandboxes/image-supply.ts";
import { Sandboxes } from "./sandboxes/sandboxes.ts";
import { Bindings } from "./store/bindings.ts";
import { ExecutionRecords } from "./store/execution-records.ts";
import { Owner } from "./store/owner.ts";
import type { Services } from "./tools/define-tool.ts";
import { describeRecord } from "./tools/execution-reply.ts";

const MIB = 1024 * 1024;

/** Everything that a running server consists of, connected. */
export interface App {
  engine: Engine;
  images: ImageSupply;
  owner: Owner;
  services: Services;
  /** Begins to keep the sandboxes ready that were asked for; only a server that serves needs any. */
  fillPool(): void;
  /** Ends everything that was started, and returns when the engine has removed it. */
  close(): Promise<void>;
}

export async function createApp(config: Config, log: Log): Promise<App> {
  const engine = createDockerEngine({ log, endpoint: config.dockerHost });
  const owner = await Owner.start();
  const images = new ImageSupply(engine, config.image, log);
  const records = new ExecutionRecords(join(owner.dir, "executions"));
  const sandboxes = new Sandboxes({
    engine,
    images,
    owner,
    bindings: new Bindings(join(owner.dir, "bindings"), log),
    log,
    settings: {
      leaseSeconds: config.lease,
      memoryBytes: config.memory * MIB,
      workspaceBytes: config.workspace * MIB,
      workspaceOn: config.workspaceOn,
      cpus: config.cpus,
      pids: config.pids,
      runtime: config.runtime,
      pool: config.pool,
    },
  });
  const contexts = new Contexts(sandboxes);
  const files = new Files(sandboxes);
  const services: Services = {
    languages: languagesOf(config.image),
    contexts,
    files,
    executions: new Executions({ sandboxes, contexts, records, softDeadlineMs: config.softDeadline * 1_000 }),
    sources: new Sources(files, records, describeRecord),
    pictures: new Pictures(sandboxes),
  };
  return {
    engine,
    images,
    owner,
    services,
    fillPool: () => sandboxes.fillPool(),
    close: async () => {
      await images.close();
      await sandboxes.close();
      await records.close();
      await owner.close();
    },
  };
}
