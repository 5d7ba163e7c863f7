import { join } from "node:path";
import type { Config } from "./config.ts";
import { Contexts } from "./contexts/contexts.ts";
import { Executions } from "./contexts/executions.ts";
import { languagesOf } from "./contexts/languages.ts";
import { createDockerEngine } from "./engines/docker/index.ts";
import type { Engine } from "./engines/engine.ts";
import { FileChanges } from "./files/file-changes.ts";
import { FileTree } from "./files/file-tree.ts";
import { Files } from "./files/files.ts";
import { AllowedFolders } from "./files/host/allowed-folders.ts";
import { HostTransfers } from "./files/host/host-transfers.ts";
import { SavedPictures } from "./files/host/saved-pictures.ts";
import { IdentifiedFiles } from "./files/identified-files.ts";
import { Pictures } from "./files/pictures.ts";
import { Search } from "./files/search.ts";
import { Sources } from "./files/sources.ts";
import { SharedCopies } from "./files/transfers/shared-copies.ts";
import { SharedUploads } from "./files/transfers/shared-uploads.ts";
import { Transfers } from "./files/transfers/transfers.ts";
import { LIMITS } from "./limits.ts";
import type { Log } from "./log.ts";
import { Packages } from "./packages/packages.ts";
import { Processes } from "./processes/processes.ts";
import { ImageSupply } from "./sandboxes/image-supply.ts";
import { networkNote } from "./sandboxes/network-policy.ts";
import { Sandboxes } from "./sandboxes/sandboxes.ts";
import { Bindings } from "./store/bindings.ts";
import { ExecutionRecords } from "./store/execution-records.ts";
import { FileIds } from "./store/file-ids.ts";
import { Owner } from "./store/owner.ts";
import { ProcessRecords } from "./store/process-records.ts";
import { SharedFiles } from "./store/shared-files.ts";
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
  const network = { mode: config.network, hosts: config.allowHost };
  const engine = createDockerEngine({ log, endpoint: config.dockerHost });
  const owner = await Owner.start();
  const images = new ImageSupply(engine, config.image, log);
  const records = new ExecutionRecords(join(owner.dir, "executions"));
  const processRecords = new ProcessRecords(join(owner.dir, "processes"));
  const sharedFiles = await SharedFiles.load(join(owner.dir, "shared"), { bytes: LIMITS.sharedBytes }, log);
  const sharedCopies = new SharedCopies(sharedFiles, log);
  const fileIds = new FileIds();
  const sandboxes = new Sandboxes({
    onClaim: async (sandbox, signal) => await sharedCopies.fill(sandbox, signal),
    onEnded: ({ sandboxId }) => fileIds.forget(sandboxId),
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
      network,
      pool: config.pool,
    },
  });
  const contexts = new Contexts(sandboxes);
  const files = new Files(sandboxes);
  const identified = new IdentifiedFiles(fileIds, sharedFiles);
  const sources = new Sources({ files, records, processes: processRecords, identified, describe: describeRecord });
  const shared = new SharedUploads({ files: sharedFiles, copies: sharedCopies, sandboxes });
  const transfers = new Transfers({ files, identified, shared });
  const hostTransfers = new HostTransfers({ folders: new AllowedFolders(config.allowDir), transfers, sources, files, identified });
  const savedPictures = config.saveDir === undefined ? undefined : new SavedPictures(config.saveDir, log);
  const services: Services = {
    profiles: config.tools,
    languages: languagesOf(config.image),
    network: networkNote(network),
    contexts,
    files,
    identified,
    search: new Search(sandboxes),
    tree: new FileTree(sandboxes),
    changes: new FileChanges(sandboxes, log),
    executions: new Executions({
      sandboxes,
      contexts,
      records,
      softDeadlineMs: config.softDeadline * 1_000,
      ...(savedPictures === undefined ? {} : { onLast: async (record) => await savedPictures.save(record) }),
    }),
    sources,
    processes: new Processes({ sandboxes, records: processRecords, softDeadlineMs: config.softDeadline * 1_000 }),
    packages: new Packages({ sandboxes, softDeadlineMs: config.softDeadline * 1_000 }),
    pictures: new Pictures(sandboxes),
    hostTransfers,
  };
  return {
    engine,
    images,
    owner,
    services,
    fillPool: () => sandboxes.fillPool(),
    close: async () => {
      await hostTransfers.close();
      await images.close();
      await sandboxes.close();
      await records.close();
      await processRecords.close();
      await owner.close();
    },
  };
}
