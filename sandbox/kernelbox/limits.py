"""Every bound of the supervisor in one table. Units are in the names."""

import errno

KIB = 1024
MIB = 1024 * KIB

PROTOCOL_VERSION = 1

FRAME_BYTES = 256 * KIB
MESSAGE_BYTES = 32 * MIB
# What may be on its way of one transfer. To us more, since a full pipe keeps us busy; from us it would only fill the engine's memory.
RECEIVE_CREDIT_BYTES = 4 * MIB
SEND_CREDIT_BYTES = 1 * MIB
READ_BYTES = 256 * KIB
# A piece of a transfer that is sent: 100 MB take 120 ms of processor time in such pieces, and 190 in those of a whole frame.
SEND_BYTES = 64 * KIB
# Of the pipes to the server, where the system allows it.
PIPE_BYTES = 1 * MIB
OPEN_REQUESTS = 512

FIRST_LEASE_S = 60.0
LEASE_S_MAX = 3_600.0
TICK_S = 1.0
# A gap in our own ticks as long as this means that the machine slept: it grants one lease more.
SLEPT_S = 5.0

COALESCE_S = 0.005
COALESCE_BYTES = 64 * 1000

UNACKED_BYTES = 2 * MIB
UNACKED_EVENTS = 10_000
TAIL_BYTES = 1 * MIB
TAIL_EVENTS = 1_000
STALL_S = 10.0
STREAM_CHARACTERS = 65_536
ATTACHMENT_BYTES = 16 * MIB
TEXT_BYTES = 4 * MIB
# All values of one event together, well below a message's bound.
BUNDLE_BYTES = 24 * MIB
JSON_DEPTH = 100
MIME_TYPES = 32
ERROR_CHARACTERS = 64 * KIB
TRACEBACK_LINES = 500
# A picture that is made to fit: decoded, so many pixels take 200 MB, twice for a moment.
PICTURE_PIXELS = 50_000_000
PICTURE_MEMORY_BYTES = 1024 * MIB
PICTURE_CPU_S = 15
PICTURE_S = 20.0
KERNEL_MESSAGE_BYTES = 64 * MIB
# Values in one of a kernel's messages.
MESSAGE_VALUES = 2_000_000

CONTEXTS = 64
QUEUE = 100
ENDED_EXECUTIONS = 64
ENDED_EXECUTION_S = 600.0
ENDED_BYTES = 32 * MIB
HELLO_EXECUTIONS = 1_000
CODE_BYTES = 2 * MIB

START_TIMEOUT_S = 60.0
# The template process: how long its imports may take, how long a fork may take, and how often it is started anew.
TEMPLATE_READY_S = 15.0
FORK_S = 5.0
TEMPLATE_STARTS = 10
TEMPLATE_STARTS_S = 60.0
TEMPLATE_MESSAGE_BYTES = 64 * KIB
# Processes and threads of a kernel that starts, and how long they are waited for.
KERNEL_PROCESSES = 40
ROOM_TRIES = 40
ROOM_WAIT_S = 0.05
# The same while others start: twenty seconds.
ROOM_TRIES_MAX = 400
# What a kernel takes until it answers, and some to run code with.
KERNEL_MEMORY_BYTES = 64 * MIB
TIMEOUT_S_MAX = 7 * 24 * 3_600.0
INTERRUPT_GRACE_S = 3.0
# After the kernel has begun code that is to be stopped already.
SECOND_INTERRUPT_S = 0.02
SECOND_HALF_S = 10.0
NUDGE_S = 0.25
LAST_MESSAGES_S = 0.03
# Longer than a killed process takes to go; one that hangs in the system's hands is not waited for.
BURIAL_S = 1.0
# How long after an out-of-memory kill the end of a kernel may be noticed that it was meant for.
MEMORY_KILL_S = 10.0
LAST_WORDS_BYTES = 4_000
HIGH_WATER_MARK = 32
# What is read at once of what a kernel's process writes to its own stdout or stderr.
PROCESS_OUTPUT_BYTES = 64 * KIB
# Commands that run, and those that have ended and are kept for a server that was away; how long they are.
PROCESSES = 50
ENDED_PROCESSES = 100
ENDED_PROCESS_S = 600.0
PROCESS_START_S = 10.0
# Of a stream: what waits to be sent before its writer is held back, and what was sent and may not have arrived.
PROCESS_UNSENT_BYTES = 256 * KIB
PROCESS_SENT_BYTES = SEND_CREDIT_BYTES
# How long one request may wait for more of it, or for a port; and for the process to read its stdin.
PROCESS_WAIT_S = 25.0
PROCESS_INPUT_S = 5.0
PORT_LOOK_S = 0.1
# Between looks for what is left of a tree that was killed, and how many there are.
PROCESS_KILL_S = 0.1
PROCESS_KILL_TRIES = 30
KILL_GRACE_S_MAX = 60.0
ARGUMENTS = 1_000
ARGUMENTS_BYTES = 1 * MIB
# What a list tells: so many processes, so much of each one's command line.
LISTED_PROCESSES = 1_000
COMMAND_LINE_CHARACTERS = 200
# How long the end of an execution is kept back for what belongs to it and has not come: so long in silence, and so long at most.
SILENCE_S = 0.5
SETTLE_S = 5.0

PATH_BYTES = 4_096
OPEN_TRIES = 10
LIST_ENTRIES = 5_000
LIST_DEPTH = 200
# A page of a list, as JSON; and the names of one folder that are looked at, for the sake of the event loop.
LIST_BYTES = 4 * MIB
FOLDER_ENTRIES = 100_000
# Files and folders that one call copies; how many of them are done before others have their turn; folders in each other; a piece of a file.
TREE_ENTRIES = 250_000
TREE_TURN = 64
TREE_DEPTH = 100
TREE_PIECE_BYTES = 4 * MIB
SCAN_ENTRIES = 5_000
SCAN_S = 0.02
CHANGED_FILES = 200

# A search of files: those at once and how long one waits for its turn, its process, and what is read of it. A line of more than SEARCH_LINE_BYTES has
# more characters than are shown, since each has at most four bytes: so what ripgrep puts behind a line that it has cut is never shown.
SEARCHES = 2
SEARCH_TURN_S = 10.0
SEARCH_S = 10.0
SEARCH_CPU_S = 20
SEARCH_MEMORY_BYTES = 256 * MIB
SEARCH_REGEX_BYTES = 32 * MIB
SEARCH_PATTERN_BYTES = 4 * KIB
SEARCH_MATCHES = 1_000
SEARCH_LINE_BYTES = 2_000
SEARCH_LINE_CHARACTERS = 500
SEARCH_OUTPUT_BYTES = 8 * MIB
SEARCH_PIECE_BYTES = 64 * KIB
SEARCH_SAID_BYTES = 16 * KIB
SEARCH_SAID_CHARACTERS = 1_000
# Telling what changes: folders that are watched and names of files that are known in them; changes that wait to be asked for.
WATCH_FOLDERS = 4_096
WATCH_NAMES = 50_000
WATCH_CHANGES = 1_000
WATCH_CHANGES_BYTES = 256 * KIB
# What is read of the system's events at once, and how long nothing is read then.
WATCH_READ_BYTES = 32 * KIB
WATCH_PAUSE_S = 0.02
# Names that are looked at before others have their turn.
WATCH_STEP_ENTRIES = 200
# How long one request may wait for a change, and then for more that belongs to it; and for all folders to be watched.
# When the watch ends that nobody asks.
WATCH_WAIT_S = 25.0
WATCH_SETTLE_S = 0.03
WATCH_READY_S = 2.0
WATCH_IDLE_S = 60.0
# Between two beginnings; between two looks where there is no inotify, how much one looks at, and when inotify is tried again.
WATCH_AGAIN_S = 1.0
WATCH_SCAN_S = 1.0
WATCH_SCAN_ENTRIES = 20_000
WATCH_RETRY_S = 30.0

# Looking at a context: how long its kernel may take, and then to stop; what it may answer, and what may be asked.
LOOK_S = 5.0
LOOK_GRACE_S = 2.0
LOOK_CODE_CHARACTERS = 64 * KIB
VARIABLES = 100
VARIABLE_CHARACTERS = 1_000
DIMENSIONS = 64
COMPLETIONS = 100
COMPLETION_CHARACTERS = 200
INSPECTION_CHARACTERS = 10_000
PACKAGES = 1_000
# Names in one folder of packages that are looked at, and processes of a context.
PACKAGE_ENTRIES = 10_000
USAGE_PROCESSES = 200
# How long the system is asked for what processes share.
USAGE_S = 1.0

# The egress proxy. How long its policy may take to come, and its size; hosts, or networks, in it; characters of a name.
EGRESS_POLICY_S = 10.0
EGRESS_POLICY_BYTES = 1 * MIB
EGRESS_ENTRIES = 1_000
HOST_CHARACTERS = 253
# How long squid may take until it listens, how often that is looked at, and how often it is started anew.
EGRESS_START_S = 10.0
EGRESS_LOOK_S = 0.02
EGRESS_STARTS = 5
EGRESS_STARTS_S = 60.0
# Connections of the sandbox; each may need one to its host. Names whose addresses are kept; headers of a request or a response; what waits of a body.
EGRESS_CONNECTIONS = 256
EGRESS_DESCRIPTORS = 1_024
EGRESS_NAMES = 1_024
EGRESS_HEADER_BYTES = 64 * KIB
EGRESS_BUFFER_BYTES = 128 * KIB
# What is told of a request, and of squid's last words.
EGRESS_LINE_BYTES = 16 * KIB
EGRESS_METHOD_CHARACTERS = 32
EGRESS_HOST_CHARACTERS = 255
EGRESS_SAID_BYTES = 2_000

# Packages: those of one request, the length of one, and files that come of it; how much of them, unpacked, and how many files.
INSTALL_PACKAGES = 50
INSTALL_NAME_CHARACTERS = 200
INSTALL_WHEELS = 300
INSTALL_BYTES = 4 * 1024 * MIB
INSTALL_ENTRIES = 200_000
# How long looking for what is installed may take, and installing; what the worker may take, be told, and tell.
INSTALL_LOOK_S = 30.0
INSTALL_S = 3_600.0
INSTALL_GRACE_S = 5.0
INSTALL_DENO_S = 10.0
INSTALL_MEMORY_BYTES = 1024 * MIB
INSTALL_REPLY_BYTES = 1 * MIB
# A list of what a package consists of, of one that is to be replaced; and what the registry says of one.
RECORD_BYTES = 32 * MIB
REGISTRY_BYTES = 16 * MIB

# Fetching them: the request, pip's report and log; versions, conflicts and text that are told.
FETCH_REQUEST_BYTES = 1 * MIB
FETCH_REPORT_BYTES = 64 * MIB
FETCH_LOG_BYTES = 64 * MIB
FETCH_VERSIONS = 20
FETCH_CONFLICTS = 10
FETCH_TEXT_CHARACTERS = 200
# Between looks at how much came; after how long a fetch that nobody ended was left by a killed one; how long the registry's answers count.
FETCH_LOOK_S = 0.25
FETCH_JOB_S = 3_600.0
FETCH_ANSWER_S = 300.0
DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
