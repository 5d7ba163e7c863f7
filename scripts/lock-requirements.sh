#!/usr/bin/env bash
# Locks the sandbox's Python packages with hashes, for x86_64 and arm64 alike. Run it after a change of a *.in file; with --upgrade it takes
# the newest versions of everything that is not pinned there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../sandbox/requirements"

if ! command -v uv >/dev/null 2>&1; then
  echo "lock-requirements: uv is missing. Next: pip install uv (or pipx install uv), then run this again." >&2
  exit 1
fi

upgrade=()
case "${1-}" in
  '') ;;
  --upgrade) upgrade=(--upgrade) ;;
  *) echo "lock-requirements: unknown argument: $1. Next: scripts/lock-requirements.sh [--upgrade]" >&2; exit 1 ;;
esac

# This machine's own index settings choose where versions are looked up, but are no part of a lock: its hashes hold wherever the files come from.
lock() { # name, then more arguments
  local name=$1 started=$SECONDS
  shift
  timeout 300 uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate \
    --python-version 3.13 "${upgrade[@]}" "$@" "$name.in" --output-file "$name.txt"
  echo "$name.txt: $(grep -c '^[a-z0-9].*==' "$name.txt") packages, $((SECONDS - started)) s"
}
lock full
# The full lock binds the core one, so that a package has one version in every flavour.
lock core --constraint full.txt
lock build
lock fetcher

# What checks the supervisor runs with the Python of whoever develops.
(cd ../tests && uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate \
  --python-version 3.10 "${upgrade[@]}" check.in --output-file check.txt)

# Every wheel of the image has to exist for both architectures, or a build on the other one would end in a compiler that is not there.
for platform in x86_64-manylinux_2_28 aarch64-manylinux_2_28; do
  timeout 300 uv pip install --quiet --dry-run --require-hashes --only-binary :all: --python-version 3.13 --python-platform "$platform" \
    --target "$(mktemp -u)" --requirement full.txt
  echo "$platform: wheels for every package"
done
