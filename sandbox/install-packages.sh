#!/bin/sh
# Installs a lock into a virtual environment: install-packages.sh <environment> <lock>. Only wheels, and only those whose hashes the lock holds.
# The host's pip settings are turned into uv's; an argument that was not given is empty here, and uv takes an empty address for an address.
set -eu
index=${UV_DEFAULT_INDEX:-${PIP_INDEX_URL:-}}
unset UV_DEFAULT_INDEX
if [ -n "$index" ]; then export UV_DEFAULT_INDEX="$index"; fi
if [ -n "${PIP_EXTRA_INDEX_URL:-}" ]; then
  # Hashes say what is installed, so the best match of all indexes is as safe as the first, and finds what a partial mirror lacks.
  export UV_INDEX="$PIP_EXTRA_INDEX_URL" UV_INDEX_STRATEGY=unsafe-best-match
fi
exec /opt/uv/bin/uv pip install --quiet --python "$1/bin/python" --require-hashes --only-binary :all: --requirement "$2"
