/** Every bound of the server in one table. Units are in the names; each bound has a test that crosses it. */
const KB = 1_000;
const KiB = 1_024;
const MiB = 1_024 * KiB;
const GiB = 1_024 * MiB;

export const LIMITS = {
  /** What one call may bring. */
  codeBytes: 1 * MiB,
  pathBytes: 4_096,
  envVariables: 100,
  envBytes: 64 * KiB,
  nameCharacters: 128,
  /** Content that `write_file` takes in one call; larger files go by upload. */
  writeFileBytes: 8 * MiB,

  /** Timeouts that a caller may set, in seconds. */
  timeoutSeconds: { default: 60, max: 3_600 },

  /** What one reply may hold. Desktop hosts cut a reply at 1 MiB with base64 counted, so the whole stays well below. */
  replyBytes: 900 * KB,
  replyTextCharacters: 20_000,
  replyErrorCharacters: 8_000,
  replyResultJsonBytes: 64 * KB,
  replyOutputs: 50,
  replyFiles: 50,
  replyImageBytes: 600 * KB,
  readFileBytes: 50_000,
  readFileBase64Bytes: 256 * KiB,
  readFileImageBytes: 600 * KB,
  listEntries: { default: 200, max: 1_000 },
  listDepth: 20,
  /** Resource links among a reply's content blocks. */
  replyLinks: 20,
  resourceBytes: 600 * KB,

  /** The channel (docs/channel-protocol.md). */
  frameBytes: 256 * KiB,
  messageBytes: 32 * MiB,
  creditBytes: 1 * MiB,
  openRequests: 256,
  /** Bytes that may wait for the container's stdin before writers are held back. */
  channelWriteBytes: 4 * MiB,
  attachMs: 15_000,
  requestMs: 30_000,
  pingIntervalMs: 1_000,
  /** Silence after which the channel is taken for dead and attached again. */
  pongMs: 15_000,
  reattachTries: 3,

  /** The life of a sandbox. */
  leaseSeconds: { default: 30, min: 5, max: 3_600 },
  engineMs: 15_000,
  createMs: 60_000,
  destroyMs: 20_000,
  contextsPerSandbox: 16,
  contextStartMs: 60_000,
  /** How long after its own timeout an execution may be silent before the server gives it up: interrupt, grace, kill and restart take less. */
  executionSlackMs: 30_000,
  executionsKept: 200,

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

  /** A container's own bounds. The workspace is memory, so it is part of `memoryBytes`. */
  container: {
    memoryBytes: 2 * GiB,
    workspaceBytes: 512 * MiB,
    workspaceInodes: 200_000,
    tmpBytes: 256 * MiB,
    tmpInodes: 50_000,
    cpus: 2,
    pids: 1_024,
    openFiles: 8_192,
    shmBytes: 64 * MiB,
  },

  /** Full copies in the store. */
  spoolBytesPerExecution: 256 * MiB,
  spoolBytesPerPrincipal: 1 * GiB,

  progressIntervalMs: 5_000,
  progressMinIntervalMs: 100,

  /** The image. */
  imageBuildMs: 45 * 60_000,
  pipSettingsMs: 10_000,
  baseImagePullMs: 60_000,
  baseImageScriptMs: 20 * 60_000,
  baseImageScriptOutputBytes: 16 * MiB,
} as const;
