#!/usr/bin/env bash
# Types and form of the supervisor, by mypy and ruff of the versions in sandbox/tests/check.txt, in an environment of their own that goes with node_modules.
# Exits with 77 where there is no Python that could make one: then nothing was checked.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

environment=$PWD/node_modules/.cache/kernelbox-check
lock=sandbox/tests/check.txt

if ! cmp -s "$lock" "$environment/check.txt"; then
  if ! python3 -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
    echo "check-sandbox: skipped: it needs Python 3.10 or newer with venv. Next: install it (apt-get install python3-venv), then run this again." >&2
    exit 77
  fi
  rm -rf "$environment"
  mkdir -p "${environment%/*}"
  python3 -m venv "$environment"
  "$environment/bin/pip" install --quiet --disable-pip-version-check --require-hashes --requirement "$lock" || {
    echo "check-sandbox: mypy and ruff could not be installed. Next: check that your Python package index is reached (pip config list), then run this again." >&2
    exit 1
  }
  cp "$lock" "$environment/check.txt"
fi

cd sandbox
"$environment/bin/ruff" check --no-cache --quiet .
"$environment/bin/ruff" format --no-cache --quiet --check .
# Without its cache, which takes a file of the same size and second for the same.
"$environment/bin/mypy" --cache-dir /dev/null --no-error-summary
