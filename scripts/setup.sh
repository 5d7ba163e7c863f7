#!/usr/bin/env bash
# Everything that `npm test` and `npm run quickstart` need: Node's version, npm dependencies, the build, a Docker engine, the sandbox image.
# Can be run at any time: a step that has nothing to do says so and costs milliseconds.
#
# KERNELBOX_SETUP_SKIP_IMAGE=1   stops before the image; scripts/engine.sh tells the variables of the engine
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

setup_started=$SECONDS
say() { printf 'setup: %s\n' "$*" >&2; }
has_said_why=no
fail() { # what happened, then what to do next
  has_said_why=yes
  printf '\nsetup: failed: %s\n  next: %s\n' "$1" "$2" >&2
  exit 1
}
# A command that fails without a word of ours, on a full disk or in a folder of somebody else, ends with a next step too. Above 128 is a signal.
step_now="getting ready"
on_exit() {
  local code=$?
  if [ "$code" = 0 ] || [ "$code" -gt 128 ] || [ "$has_said_why" = yes ]; then return; fi
  printf '\nsetup: failed: the step "%s" ended with exit code %s (%s)\n  next: %s\n' "$step_now" "$code" "$BASH_COMMAND" \
    "mend what is said above (space left: df -h . /tmp; whose the folder is: ls -ld . node_modules), then run this again" >&2
}
trap on_exit EXIT
# Runs a command with a deadline in seconds. In the foreground, so that Ctrl-C reaches it; macOS has no timeout, and goes without.
within() {
  local seconds=$1
  shift
  if command -v timeout >/dev/null 2>&1; then timeout --foreground --kill-after=10 "$seconds" "$@"; else "$@"; fi
}
# Runs a step and says what it cost.
step() {
  local name=$1 begun now
  shift
  step_now=$name
  begun=$(milliseconds)
  "$@"
  now=$(milliseconds)
  say "$name: done in $((now - begun)) ms"
}
milliseconds() { # macOS ships a bash without EPOCHREALTIME
  local now=${EPOCHREALTIME:-$SECONDS.000000}
  now=${now/[.,]/}
  echo "${now%???}"
}

# shellcheck source-path=SCRIPTDIR source=engine.sh
. scripts/engine.sh

check_node() {
  command -v node >/dev/null 2>&1 || fail "Node.js is missing" "install Node.js 20.19 or newer, then run this again"
  command -v npm >/dev/null 2>&1 || fail "npm is missing, though Node.js is here" "install npm (apt-get install npm, or Node.js from its own packages)"
  local major minor
  node_is=$(node -p 'process.versions.node + " " + process.platform + " " + process.arch')
  IFS=. read -r major minor _ <<<"$node_is"
  if [ "$major" -lt 20 ] || { [ "$major" = 20 ] && [ "$minor" -lt 19 ]; }; then
    fail "Node.js ${node_is%% *} is too old" "install Node.js 20.19 or newer (nvm install 22), then run this again"
  fi
  say "node ${node_is%% *}"
}

# Two setups at once would install over each other's files and start two engines.
take_lock() {
  local folder=${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/kernelbox
  command -v flock >/dev/null 2>&1 || return 0 # macOS has none
  mkdir -p "$folder" || fail "the folder $folder cannot be made" "set XDG_CACHE_HOME to a folder that you may write to"
  exec 9>>"$folder/setup.lock"
  flock --nonblock 9 && return
  say "another setup is running; waiting for it (at most 30 minutes)"
  flock --timeout 1800 9 || fail "another setup has run for 30 minutes" "find it (fuser -v $folder/setup.lock), stop it, then run this again"
}

hash_of() { if command -v sha256sum >/dev/null 2>&1; then sha256sum "$@"; else shasum -a 256 "$@"; fi; }

install_dependencies() {
  local stamp=node_modules/.kernelbox-lock wanted
  # Some packages carry a binary of one platform: a folder shared with another machine has to be installed anew there.
  wanted="$(hash_of package-lock.json) ${node_is#* }"
  if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then
    say "npm dependencies are those of package-lock.json"
    return
  fi
  say "installing npm dependencies with npm ci (a minute)"
  # With the development ones, whatever NODE_ENV says: the build and the tests need them. No package's install script runs.
  within 600 npm ci --include=dev --ignore-scripts --no-audit --no-fund --loglevel=error </dev/null >&2 9>&- \
    || fail "npm ci ended with an error (above)" "check that your npm registry is reached (npm ping), then run this again"
  echo "$wanted" >"$stamp"
}

build() {
  local stamp=node_modules/.kernelbox-built
  # Folders count too: theirs is the only time that changes when a file goes.
  if [ -f dist/main.js ] && [ -f "$stamp" ] && [ -z "$(find src package.json tsconfig.json tsconfig.build.json -newer "$stamp" -print -quit)" ]; then
    say "dist is newer than src"
    return
  fi
  say "building dist"
  # The stamp has the time before the build, so that what is edited meanwhile is built next time.
  touch "$stamp.new"
  rm -rf dist
  within 300 npm run --silent build </dev/null >&2 9>&- || fail "the build ended with an error (above)" "npm run typecheck shows the same errors; mend them, then run this again"
  mv "$stamp.new" "$stamp"
}

# The engine's own removal of ended containers stops with it, so a killed engine's are still there.
clear_sandboxes() {
  within 120 node dist/main.js reap </dev/null >&2 9>&- || say "what dead servers left could not be removed; node dist/main.js reap tries again"
}

build_image() {
  # Its own deadlines are inside; this one is only against its hanging. It says what it does.
  within 3600 node dist/main.js setup </dev/null >&2 9>&- \
    || fail "the sandbox image is not there" "mend what is said above, then: node dist/main.js setup (node dist/main.js doctor looks at everything)"
}

check_node
take_lock
step "npm dependencies" install_dependencies
step "build" build
step "engine" engine_ensure
if [ "$engine_was_started" = yes ]; then step "sandboxes of dead servers" clear_sandboxes; fi
if [ "${KERNELBOX_SETUP_SKIP_IMAGE-}" = 1 ]; then
  say "image: skipped (KERNELBOX_SETUP_SKIP_IMAGE=1)"
else
  step "image" build_image
fi
say "ready after $((SECONDS - setup_started)) s"
