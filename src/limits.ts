/** The bounds of the server in one table. Units are in the names. A test crosses each that can be crossed without waiting for minutes. */
const KB = 1_000;
const KiB = 1_024;
const MiB = 1_024 * KiB;
const GiB = 1_024 * MiB;

export const LIMITS = {
  /** What one call may bring. */
  codeBytes: 1 * MiB,
  pathBytes: 4_096,
  /** A path of full length as a URI: each of its bytes may take three characters, and the scheme and an id stand before it. */
  uriCharacters: 3 * 4_096 + 128,
  envVariables: 100,
  envBytes: 64 * KiB,
  nameCharacters: 128,
  /** Content that `write_file` takes in one call; larger files go by upload. */
  writeFileBytes: 8 * MiB,
  /** A file that `edit_file` changes, edits of one call, places that it tells of, and how often it begins again where somebody else writes. */
  editFileBytes: 8 * MiB,
  edits: 100,
  editPlaces: 10,
  editTries: 3,
  /** How often a read begins again where somebody else changes the file, the first time counted. */
  readTries: 2,
  /** The difference that it shows, and how long working it out may take. */
  diffCharacters: 20_000,
  diffMs: 2_000,
  /** One JSON-RPC message of a host on stdio: the largest file as text in which every byte is escaped, and room for the rest. */
  hostMessageBytes: 50 * MiB,

  /** Code in which names are completed or inspected, and what is told of a context. The supervisor's and its kernels' bounds. */
  lookCodeCharacters: 64 * KiB,
  variables: 100,
  previewCharacters: 600,
  packages: 1_000,
  completions: 100,
  inspectionCharacters: 10_000,
  /** Three questions to one kernel, each with the time to stop it. */
  lookMs: 60_000,

  /** Timeouts that a caller may set, in seconds. */
  timeoutSeconds: { default: 60, background: 3_600, max: 3_600 },
  /** After how long a call answers while its code goes on, and how long one may wait for code that runs: hosts give up after a minute. */
  softDeadlineSeconds: { default: 50, min: 1, max: 3_600 },
  waitSeconds: 50,
  idempotencyKeyCharacters: 255,

  /** What one reply may hold. Desktop hosts cut a reply at 1 MiB with base64 counted, so the whole stays well below. */
  replyBytes: 900 * KB,
  /** What JSON-RPC and the SDK put around a result. */
  replyEnvelopeBytes: 2 * KB,
  replyTextCharacters: 20_000,
  replyErrorCharacters: 8_000,
  /** What is told of an output that reads as text. */
  replyOutputTextCharacters: 2_000,
  replyResultJsonBytes: 64 * KB,
  replyOutputs: 50,
  replyNotices: 50,
  replyFiles: 50,
  /** Events of an execution that one reply gives, both lanes together, and the characters of one of them. */
  replyEvents: 500,
  replyEventsBytes: 200 * KB,
  replyEventCharacters: 4_000,
  replyImageBytes: 600 * KB,
  /** A picture that can be made smaller. The supervisor's ATTACHMENT_BYTES. */
  pictureBytes: 16 * MiB,
  /** A side of a picture; model APIs refuse more where a request has many. */
  replyImagePixels: 2_000,
  /** Pictures of one reply that are made smaller; each takes some tenths of a second. */
  replyImagesFitted: 10,
  /** A chart as our kernels make it (sandbox/kernelbox/kernels/chart_values.py); a larger one is none of theirs. JavaScript writes 1e20 with all its digits. */
  chartBytes: 4 * 48 * KB,
  chartPoints: 1_000,
  chartSeries: 50,
  chartsPerFigure: 30,
  chartCells: 400,
  chartNames: 20,
  /** Python's 200 characters may be two each here. */
  chartTextCharacters: 2 * 200,
  /** Rows of data that the prose shows of a chart, and what stands in one cell of them. */
  chartRows: 20,
  chartCellCharacters: 60,
  /** All charts of a reply in both lanes: hosts give what they hold to models. */
  replyChartBytes: 150 * KB,
  readFileLines: 2_000,
  readFileBytes: 50_000,
  readFileBase64Bytes: 256 * KiB,
  readFileImageBytes: 600 * KB,
  listEntries: { default: 200, max: 1_000 },
  listDepth: 20,
  /** A search of files: the supervisor's bounds. */
  searchMatches: { default: 100, max: 1_000 },
  searchPatternBytes: 4 * KiB,
  searchLineCharacters: 500,
  /** Resource links among a reply's content blocks. */
  replyLinks: 20,
  resourceBytes: 600 * KB,
  /** How much of a file tells its media type. */
  mediaTypeBytes: 4 * KiB,
  /** How many resources one page of resources/list has, and how often it asks for more where folders fill what it finds; how deep it looks. */
  resourceListEntries: 2_500,
  resourceListPages: 10,
  resourceListDepth: 200,
  /** Resources that one host may subscribe to. */
  subscriptions: 1_000,
  /** Between two looks for what has changed, and two notifications of the same; how long a sandbox may wait for a change before it answers. */
  changesIntervalMs: 500,
  changesWaitSeconds: 20,
  changesRetryMs: 2_000,
  /** How long a host that begins to listen waits until no change can be missed. */
  changesReadyMs: 2_000,
  /** Details of an error: as data, and as prose. */
  errorDetailsBytes: 4 * KB,
  errorDetailsCharacters: 2_000,

  /** The channel (docs/channel-protocol.md). */
  frameBytes: 256 * KiB,
  messageBytes: 32 * MiB,
  /** Levels of nested JSON that are taken from a sandbox; a value with more is left out. Its own bound is below. */
  jsonDepth: 200,
  /** What may be on its way of one transfer: to a sandbox and from it. The supervisor's bounds, which say why. */
  sendCreditBytes: 4 * MiB,
  receiveCreditBytes: 1 * MiB,
  openRequests: 256,
  /** Bytes that may wait for the container's stdin before writers are held back. */
  channelWriteBytes: 4 * MiB,
  attachMs: 15_000,
  requestMs: 30_000,
  /** A whole tree that is copied or removed. */
  treeMs: 300_000,
  /** How long no byte of a transfer may move. */
  transferStallMs: 30_000,
  pingIntervalMs: 1_000,
  /** Silence after which the channel is taken for dead and attached again. */
  pongMs: 15_000,
  /** How long a sandbox whose channel broke is tried to be reached again, at most its lease, and the waits between tries. */
  reattachMs: 60_000,
  reattachWaitMs: { first: 100, max: 2_000 },
  /** How often a request that does no harm twice is made, where the channel breaks under it. */
  requestTries: 3,

  /** The proxy between a sandbox and the world, and the hosts of an allowlist. */
  egress: {
    hosts: 200,
    memoryBytes: 128 * MiB,
    workspaceBytes: 1 * MiB,
    cpus: 1,
    pids: 64,
    /** Between looks for other addresses of the host. */
    addressesMs: 60_000,
    /** From its container's start until it listens. */
    readyMs: 15_000,
    retryMs: { first: 500, max: 30_000 },
    /** One line that it tells, and how many requests are logged one by one. */
    lineBytes: 4 * KiB,
    logPerSecond: 20,
  },
  /** What fetches packages for a sandbox. */
  fetcher: { memoryBytes: 1 * GiB, workspaceBytes: 512 * MiB, cpus: 2, pids: 256 },

  /** The life of a sandbox. */
  /** Between two looks for containers that dead servers left. */
  sweepIntervalMs: 10 * 60_000,
  leaseSeconds: { default: 30, min: 5, max: 3_600 },
  engineMs: 15_000,
  createMs: 60_000,
  destroyMs: 20_000,
  /** How long what a claimed sandbox gets from its principal may take to be in it. */
  claimMs: 60_000,
  /** What is kept of a sandbox for the next execution to tell. */
  sandboxNotes: 20,
  contextsPerSandbox: 64,
  /** Sandboxes that are kept ready. */
  pool: {
    max: 64,
    /** Refilling waits for so long without running code, but no longer than `busyMs`. */
    quietMs: 250,
    busyMs: 5_000,
    retryMs: { first: 1_000, max: 60_000 },
    /** Between two looks at whether the image is still the one that pooled sandboxes were made from. */
    imageMs: 10_000,
    /** How long a pooled sandbox may take to show that it is well, before another one is taken. */
    claimMs: 2_000,
  },
  /** Ended sandboxes whose handles still tell why they ended. */
  endedSandboxesKept: 1_000,
  contextStartMs: 60_000,
  /** How long after its own timeout an execution may be silent before the server gives it up: interrupt, grace, kill and restart take less. */
  executionSlackMs: 30_000,
  /** How long the reply to code in the background waits for it to begin, so that it can say when it is stopped. */
  executionBeginMs: 250,
  executionsKept: 200,
  /** How long after its end an execution is listened to: output of its threads and subprocesses still belongs to it. */
  lateOutputMs: 10_000,
  /**
   * Events of one execution that wait to be stored. An honest supervisor has 2 MiB unacknowledged, and one message more: beyond that it does not
   * keep the protocol.
   */
  pendingEventBytes: 48 * MiB,
  /** How long the engine may take to say why a container ended, once its stream has. */
  engineWordMs: 500,
  /** An end so soon after the engine told of an out-of-memory kill was caused by it. */
  outOfMemoryMs: 10_000,

  /** The engine's connections. */
  engineProbeMs: 5_000,
  /** What an engine, or a build, is quoted with. */
  engineTextCharacters: 2_000,
  buildTextCharacters: 4_000,
  /** One line of an engine's progress or events. */
  engineLineCharacters: 1 * MiB,
  /** Engines cut output into pieces of some ten kilobytes; a header that claims more than this is none. */
  enginePieceBytes: 64 * MiB,
  eventRetryMs: { first: 100, max: 5_000 },
  /** How long what happened during a gap may take to arrive after the event stream is open again. */
  eventReplayMs: 500,
  /** Engines remember few hundred events; so many ends may be told again after a gap. */
  eventEndsKept: 1_000,
  eventKeepAliveMs: 30_000,
  destroyPollMs: { first: 25, max: 1_000 },
  /** How many subnets are tried for a network, where others have them already. */
  subnetTries: 8,

  /** A container's own bounds. The workspace is memory, so it is part of `memoryBytes`. */
  container: {
    memoryBytes: 2 * GiB,
    workspaceBytes: 512 * MiB,
    workspaceInodes: 200_000,
    tmpBytes: 256 * MiB,
    tmpInodes: 50_000,
    sharedBytes: 256 * MiB,
    sharedInodes: 5_000,
    cpus: 2,
    pids: 1_024,
    openFiles: 8_192,
    shmBytes: 64 * MiB,
  },

  /** Files that are kept for a principal: their number, bytes of all of them and of one, and uploads at one time. /mnt/shared holds them twice, since one that is replaced stays until the new one is whole. */
  sharedFiles: 500,
  sharedBytes: 128 * MiB,
  sharedFileBytes: 128 * MiB,
  sharedUploads: 16,
  sharedNameBytes: 200,
  /** Files of one sandbox that have an id; the one that was asked for least lately makes room. */
  fileIdsPerSandbox: 2_000,

  /** Full copies in the store. */
  spoolBytesPerExecution: 256 * MiB,
  spoolBytesPerPrincipal: 1 * GiB,
  /** The numbered events of one execution, without the text of its streams, for which these have the places: some 500,000 pieces, and room for the rest. */
  eventLogBytes: 32 * MiB,
  eventLogStreamBytes: 24 * MiB,
  /** A context's history as a notebook; of one execution its streams and errors, and all of its outputs. */
  notebookBytes: 64 * MiB,
  notebookCellBytes: 8 * MiB,
  notebookTextBytes: 1 * MiB,
  /** Notebooks in resources/list. */
  notebooksListed: 50,
  /** Names of pictures that a reply says were written into --save-dir. */
  savedNames: 10,
  /** Displays of one execution that later ones can be known to update. */
  displayIdsKept: 200,
  /** Contexts of which is known how many of their executions are not kept any more. */
  historiesKept: 1_000,
  /** Outputs of one execution whose data is kept, each in a file. */
  outputsKept: 4_000,

  /** Processes: those whose output is kept, its bytes of one and of all, and how much of a command is shown. */
  processesKept: 200,
  processBytes: 256 * MiB,
  processesBytes: 1 * GiB,
  commandCharacters: 200,
  commandBytes: 1 * MiB,
  commandArguments: 1_000,
  commandStdinBytes: 1 * MiB,
  processesPerSandbox: 50,
  /** How long one request to a sandbox waits for more of a process's output, or for a port. */
  processFollowSeconds: 20,
  /** How often in a row it may fail before the process is given up. */
  processFollowTries: 20,
  /** How long the last words of a process that was killed may take. */
  processOverMs: 5_000,
  killGraceSeconds: { default: 5, max: 30 },
  /** Output that one reply gives from an offset on, and a pattern that is waited for. */
  processReadBytes: 64 * KB,
  patternCharacters: 1_000,
  /** Text before a pattern's match that is looked at again where more comes. */
  patternWindowCharacters: 64 * KiB,

  /** Packages of one call, and characters of one. The supervisor's INSTALL_PACKAGES and INSTALL_NAME_CHARACTERS. */
  installPackages: 50,
  installNameCharacters: 200,
  installSeconds: { default: 300, max: 1_800 },
  /** How much longer than the fetcher's own deadline the whole may take: its start, and unpacking. */
  installSlackMs: 60_000,
  /** Packages and files that one install brings, their bytes as they are fetched, and a principal's cache of them. */
  installFiles: 300,
  installBytes: 1 * GiB,
  installCacheBytes: 4 * GiB,
  /** The line that a fetcher answers with. */
  fetchLineBytes: 256 * KiB,
  lookForPackagesMs: 60_000,

  /** Files between the host and sandboxes. */
  allowedDirs: 64,
  transferBytes: 16 * GiB,
  transfersAtOnce: 16,
  transferProgressMs: 1_000,
  /** What is read of a file of the host at once. */
  hostReadBytes: 256 * KiB,
  /** A folder on its way, as a tar. */
  archiveEntries: 10_000,
  archiveDepth: 20,
  /** A name in it, as bytes: of the whole, and of one part. */
  archiveNameBytes: 2_048,
  fileNameBytes: 255,
  /** What a tar says of the entry behind it (long names, pax records), which its reader holds in memory. */
  archiveHeaderBytes: 64 * KiB,
  /** Pictures of one execution that are saved for the user. */
  savedPictures: 1_000,
  savedPicturesBytes: 1 * GiB,

  progressIntervalMs: 5_000,
  progressMinIntervalMs: 100,
  progressCharacters: 500,

  /** The image. */
  imageBuildMs: 45 * 60_000,
  pipSettingsMs: 10_000,
  baseImagePullMs: 60_000,
  baseImageScriptMs: 20 * 60_000,
  baseImageScriptOutputBytes: 16 * MiB,
} as const;
